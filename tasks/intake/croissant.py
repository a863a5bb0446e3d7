"""Croissant dataset cards (1.0, 1.1, with the Responsible AI vocabulary) held against the bytes.

Read as flat JSON: contexts, addresses and licences are never fetched.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tasks.domain.bundle import BundleSpec, FileEntry
from tasks.domain.digest import hexadecimal
from tasks.domain.errors import InvalidInputError
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.licences import FREE, RESTRICTED, demands
from tasks.intake.names import shown
from tasks.intake.strict_json import JsonCaps, parse_json

_CAPS = JsonCaps(most_bytes=8 << 20, nodes=300_000, depth=40)
_VERSION = re.compile(r"https?://mlcommons\.org/croissant/(1\.\d)/?")
_HEX = re.compile(r"[0-9a-fA-F]{64}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{1,20}:")
_PREFIX = re.compile(
    r"^(?:https?://(?:schema\.org|mlcommons\.org/croissant(?:/RAI)?)/|[a-z]{1,12}:(?!//))"
)
_MOST_ITEMS = 10_000
_MOST_LICENCES = 50
_RAI = {
    "collection": {"dataCollection", "dataCollectionType", "dataCollectionRawData"},
    "biases": {"dataBiases", "dataLimitations", "dataSocialImpact"},
    "personal": {"personalSensitiveInformation"},
    "use": {"dataUseCases"},
}


class FileObject(NamedTuple):
    """One file of the distribution. ``sha256`` is as it was written, checked or not."""

    id: str
    name: str
    address: str
    sha256: str

    @property
    def is_hashed(self) -> bool:
        """Answers whether the digest is one."""
        return _HEX.fullmatch(self.sha256) is not None


class Croissant(NamedTuple):
    """What a dataset card states."""

    name: str
    version: str
    conforms: str
    licences: tuple[str, ...]
    files: tuple[FileObject, ...]
    file_sets: tuple[str, ...]
    record_sets: int
    sources: frozenset[str]
    rai: frozenset[str]


def parse_croissant(data: bytes, *, place: str) -> Croissant:
    """Reads a dataset card.

    Raises:
        InvalidInputError: Not JSON, or no dataset in it.
    """
    value = parse_json(data, place=place, caps=_CAPS)
    if not isinstance(value, dict) or _local(_text(value.get("@type"))) != "Dataset":
        raise InvalidInputError(f"{place} is no Croissant card (its @type is not a Dataset).")
    node = _plain(value)
    kinds = [
        (_local(_text(_map(i).get("@type"))), _plain(_map(i)))
        for i in _list(node.get("distribution"))
    ]
    records = [_plain(_map(item)) for item in _list(node.get("recordSet"))]
    return Croissant(
        name=_text(node.get("name")),
        version=_text(node.get("version")),
        conforms=_conforms(node.get("conformsTo")),
        licences=tuple(_licences(node.get("license"))),
        files=tuple(_file(item) for kind, item in kinds if kind == "FileObject"),
        file_sets=tuple(_text(item.get("@id")) for kind, item in kinds if kind == "FileSet"),
        record_sets=len(records),
        sources=frozenset(_sources(records)),
        rai=frozenset(node),
    )


def croissant_observations(
    data: bytes, spec: BundleSpec, files: Sequence[FileEntry], *, path: str
) -> Iterator[Observation]:
    """Yields what the dataset card says differently from the bytes, and where it is silent.

    Args:
        data: The card's bytes.
        spec: The bundle's manifest.
        files: What lies in quarantine.
        path: Where the card lies.
    """
    try:
        card = parse_croissant(data, place=path)
    except InvalidInputError as error:
        yield _observed("unreadable", Severity.MEDIUM, error.message, path)
        return
    found = [
        *_digest_problems(card, files, path),
        *_uncovered(card, spec, files, path),
        *_structure(card, path),
        *_licence_problems(card, spec, path),
        *_silent(card, path),
    ]
    if not any(item.severity.rank >= Severity.MEDIUM.rank for item in found):
        detail = (
            f"Croissant {card.conforms or 'of no stated version'}: {len(card.files)} files, "
            f"{card.record_sets} record sets"
        )
        yield _observed("matches", Severity.INFO, detail, path)
    yield from found


def _digest_problems(
    card: Croissant, files: Sequence[FileEntry], path: str
) -> Iterator[Observation]:
    places = _places(files)
    for item in card.files:
        file = _meant(item, places, path)
        if item.sha256 and not item.is_hashed:
            detail = f"the digest of {shown(item.name, 80)} is none: {shown(item.sha256, 80)}"
            yield _observed("hash_unusable", Severity.LOW, detail, path)
        elif not item.sha256 and file is not None:
            detail = f"{shown(file.path)} is described without SHA-256"
            yield _observed("hash_missing", Severity.LOW, detail, path)
        elif file is not None and item.sha256.lower() != hexadecimal(file.digest):
            detail = (
                f"the dataset card says {shown(file.path)} has SHA-256 {item.sha256.lower()}, "
                f"the bytes have {hexadecimal(file.digest)}"
            )
            yield _observed("digest_mismatch", Severity.HIGH, detail, path)


def _meant(item: FileObject, places: Mapping[str, FileEntry], path: str) -> FileEntry | None:
    """Finds the file by its relative address, from the card's folder or the bundle's top."""
    if _SCHEME.match(item.address):
        name = item.address.rstrip("/").rpartition("/")[2].partition("?")[0]
        return places.get(f"*/{name}")
    folder = path.rpartition("/")[0]
    for wanted in (item.address, item.name, item.id):
        plain = wanted.removeprefix("./")
        for candidate in (plain, f"{folder}/{plain}" if folder else plain):
            if (file := places.get(candidate)) is not None:
                return file
    return None


def _places(files: Sequence[FileEntry]) -> dict[str, FileEntry]:
    """Files by path, and as ``*/name`` where only one is called so."""
    counts = Counter(file.path.rpartition("/")[2] for file in files)
    names = {f"*/{file.path.rpartition('/')[2]}": file for file in files}
    lone = {name: file for name, file in names.items() if counts[name[2:]] == 1}
    return lone | {file.path: file for file in files}


def _uncovered(
    card: Croissant, spec: BundleSpec, files: Sequence[FileEntry], path: str
) -> Iterator[Observation]:
    listed = {item.sha256.lower() for item in card.files if item.is_hashed}
    digests = {file.path: hexadecimal(file.digest) for file in files}
    for data in (spec.data.training, spec.data.evaluation):
        if data is not None and digests[data.path] not in listed:
            detail = f"the dataset card has no SHA-256 that {shown(data.path)} has"
            yield _observed("data_not_covered", Severity.LOW, detail, path)


def _structure(card: Croissant, path: str) -> Iterator[Observation]:
    if card.conforms not in {"1.0", "1.1"}:
        detail = f"the card conforms to {shown(card.conforms, 60) or 'no stated version'}"
        yield _observed("unknown_version", Severity.LOW, detail, path)
    known = {item.id for item in card.files} | set(card.file_sets)
    if dangling := sorted(card.sources - known):
        names = ", ".join(shown(name, 60) for name in dangling[:5])
        detail = f"{len(dangling)} fields come from files that are not described: {names}"
        yield _observed("dangling_reference", Severity.LOW, detail, path)


def _licence_problems(card: Croissant, spec: BundleSpec, path: str) -> Iterator[Observation]:
    if demands(spec.claims.licence or "") != FREE:
        return
    for text in card.licences[:_MOST_LICENCES]:
        asked = demands(text)
        if asked is not None and asked != FREE:
            what = "restricts the use" if asked == RESTRICTED else "asks to share alike"
            detail = (
                f"the data's licence {shown(text, 80)} {what}, the bundle claims "
                f"{shown(str(spec.claims.licence), 60)} for the whole"
            )
            yield _observed("licence_incompatible", Severity.MEDIUM, detail, path)


def _silent(card: Croissant, path: str) -> Iterator[Observation]:
    stated = {
        "licence": any(text.lower() not in {"", "unknown", "other"} for text in card.licences),
        "record_sets": card.record_sets > 0,
        "version": bool(card.version),
        **{f"rai_{topic}": bool(keys & card.rai) for topic, keys in _RAI.items()},
    }
    for field, there in stated.items():
        if not there:
            detail = f"the dataset card does not state {field.replace('_', ' ')}"
            yield _observed(f"no_{field}", Severity.LOW, detail, path)


def _sources(records: list[dict[str, Any]]) -> Iterator[str]:
    """Yields the ids of files that fields are taken from; sub-fields included."""
    waiting = [_plain(_map(f)) for record in records for f in _list(record.get("field"))]
    for _ in range(_MOST_ITEMS):
        if not waiting:
            return
        field = waiting.pop()
        waiting.extend(_plain(_map(item)) for item in _list(field.get("subField")))
        source = _plain(_map(field.get("source")))
        for key in ("fileObject", "fileSet"):
            if identifier := _text(_map(source.get(key)).get("@id")):
                yield identifier


def _file(item: Mapping[str, Any]) -> FileObject:
    return FileObject(
        _text(item.get("@id")),
        _text(item.get("name")),
        _text(item.get("contentUrl")),
        _text(item.get("sha256")).strip(),
    )


def _licences(value: Any) -> Iterator[str]:
    for item in _list(value):
        if isinstance(item, str):
            yield shown(item, 300)
        elif isinstance(item, dict):
            node = _plain(item)
            yield _text(node.get("name")) or _text(node.get("url")) or _text(node.get("@id"))


def _conforms(value: Any) -> str:
    texts = [_text(item) or _text(_map(item).get("@id")) for item in _list(value)]
    known = [match[1] for text in texts if (match := _VERSION.fullmatch(text))]
    return known[0] if known else next(iter(texts), "")


def _plain(node: Mapping[str, Any]) -> dict[str, Any]:
    """Drops the prefixes of vocabularies from keys; ``@`` keys stay."""
    return {(key if key.startswith("@") else _local(key)): value for key, value in node.items()}


def _local(name: str) -> str:
    return _PREFIX.sub("", name)


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    """JSON-LD writes a list of one as the one itself."""
    items = value if isinstance(value, list) else [] if value is None else [value]
    return items[:_MOST_ITEMS]


def _text(value: Any) -> str:
    return shown(value, 2000) if isinstance(value, str) else ""


def _observed(rule: str, severity: Severity, detail: str, location: str) -> Observation:
    return Observation(
        rule=f"provenance.croissant.{rule}", severity=severity, detail=detail[:2000],
        location=location,
    )  # fmt: skip
