"""The vendor's AI-BOM (CycloneDX or SPDX 3) held against the bytes that came."""

from collections.abc import Callable, Iterator, Sequence

from tasks.domain.bundle import BundleSpec, FileEntry
from tasks.domain.digest import hexadecimal
from tasks.domain.errors import InvalidInputError
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.bom_component import DATA, FILE, LIBRARY, MODEL, STRONG, Bom, Component
from tasks.intake.bom_cyclonedx import cyclonedx_json, cyclonedx_xml
from tasks.intake.bom_spdx import is_spdx, spdx_components
from tasks.intake.licences import FREE, RESTRICTED, contradicts, demands, expression_problem
from tasks.intake.names import shown
from tasks.intake.strict_json import JsonCaps, parse_json

_CAPS = JsonCaps(most_bytes=4 << 20, nodes=100_000, depth=40)
_BOUND = {MODEL, DATA, FILE}
_MOST_NAMED = 5
_MOST_NAMESAKES = 100
_MOST_LICENCES = 300
Hasher = Callable[[FileEntry, str], str]
"""Returns the hex of a file by another algorithm than SHA-256."""


def read_bom(data: bytes, *, place: str) -> Bom:
    """Reads a bill of materials in any of the known formats.

    Raises:
        InvalidInputError: None of them, or not valid; the message says why.
    """
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        if len(data) > _CAPS.most_bytes:
            raise InvalidInputError(f"{place} has {len(data)} bytes; 4 MiB are allowed.")
        return cyclonedx_xml(data, place=place)
    value = parse_json(data, place=place, caps=_CAPS)
    if is_spdx(value):
        return spdx_components(value)
    if not isinstance(value, dict) or value.get("bomFormat") != "CycloneDX":
        raise InvalidInputError(
            "The BOM is neither CycloneDX (bomFormat is missing) nor SPDX 3 (no @graph with an "
            "SPDX context)."
        )
    return cyclonedx_json(value)


def bom_observations(
    data: bytes,
    spec: BundleSpec,
    files: Sequence[FileEntry],
    *,
    path: str,
    hasher: Hasher | None = None,
) -> Iterator[Observation]:
    """Yields what the BOM says differently from the bundle, and where it is silent.

    Args:
        data: The BOM's bytes.
        spec: The bundle's manifest.
        files: What lies in quarantine.
        path: Where the BOM lies in the bundle.
        hasher: Hashes files by other algorithms; without it, those digests are not compared.
    """
    try:
        bom = read_bom(data, place=path)
    except InvalidInputError as error:
        yield _observed("unreadable", Severity.MEDIUM, error.message, path)
        return
    yield from judge_bom(bom, spec, files, path=path, hasher=hasher)


def judge_bom(
    bom: Bom,
    spec: BundleSpec,
    files: Sequence[FileEntry],
    *,
    path: str,
    hasher: Hasher | None = None,
) -> Iterator[Observation]:
    """Does the same for a BOM that was read already."""
    comparison = _Comparison(bom.components, spec, files, path, hasher)
    found = [
        *comparison.digest_problems(),
        *comparison.unlisted(),
        *_model_problems(bom.components, spec, path),
        *_licence_problems(bom.components, spec, path),
    ]
    if not any(item.severity.rank >= Severity.MEDIUM.rank for item in found):
        notes = "".join(f"; {note}" for note in bom.notes)
        detail = (
            f"{bom.format}, {len(bom.components)} components; every digest of a file here is that "
            f"of its bytes{notes}"
        )
        yield _observed("matches", Severity.INFO, detail, path)
    yield from found


class _Comparison:
    """Components laid over the files that came."""

    def __init__(
        self,
        components: Sequence[Component],
        spec: BundleSpec,
        files: Sequence[FileEntry],
        path: str,
        hasher: Hasher | None,
    ) -> None:
        self._components = [item for item in components if item.kind in _BOUND]
        self._spec = spec
        self._files = files
        self._path = path
        self._hasher = hasher
        self._by_digest = {hexadecimal(file.digest) for file in files}
        self._by_name: dict[str, list[FileEntry]] = {}
        for file in files:
            self._by_name.setdefault(file.path.rpartition("/")[2], []).append(file)
        self._models = sum(item.kind == MODEL and bool(item.digests) for item in components)
        self._by_path = {file.path: file for file in files}
        self._named = {hex_ for item in self._components for hex_ in item.hexes()}

    def digest_problems(self) -> Iterator[Observation]:
        for item in self._components:
            if not item.digests or item.hexes() & self._by_digest:
                continue
            file = self._meant(item)
            if file is None:
                yield self._absent(item)
            else:
                yield from self._compared(item, file)

    def unlisted(self) -> Iterator[Observation]:
        """Says which files the BOM has no digest of; papers about the bundle do not count."""
        data = [d.path for d in (self._spec.data.evaluation, self._spec.data.training) if d]
        others: list[str] = []
        for file in self._files:
            if hexadecimal(file.digest) in self._named:
                continue
            if file.path == self._spec.model.artifact:
                detail = f"the BOM has no SHA-256 that the artifact {shown(file.path)} has"
                yield _observed("artifact_not_covered", Severity.MEDIUM, detail, self._path)
            elif file.path in data or file.path == self._spec.model.architecture:
                detail = f"the BOM does not list the file {shown(file.path)}"
                yield _observed("file_not_listed", Severity.LOW, detail, self._path)
            elif file.path not in self._papers():
                others.append(file.path)
        if others:
            first = ", ".join(shown(name, 80) for name in others[:_MOST_NAMED])
            detail = f"{len(others)} other files are not in the BOM: {first}"
            yield _observed("undeclared_files", Severity.LOW, detail, self._path)

    def _papers(self) -> set[str]:
        documents = self._spec.documents.model_dump().values()
        signature = self._spec.signature.path if self._spec.signature else ""
        return {"bundle.yaml", self._path, signature, *(path for path in documents if path)}

    def _absent(self, item: Component) -> Observation:
        severity = Severity.MEDIUM if item.path else Severity.LOW
        detail = f"the BOM describes {shown(item.name, 80)}, whose bytes did not come"
        return _observed("file_missing", severity, detail, self._path)

    def _compared(self, item: Component, file: FileEntry) -> Iterator[Observation]:
        """Compares what the BOM states of a file with its bytes, by the strongest hash given."""
        if said := item.hexes():
            yield self._mismatch(file, "SHA-256", min(said), hexadecimal(file.digest))
            return
        strong = sorted(name for name, _ in item.digests if name in STRONG)
        algorithm = (strong or sorted(name for name, _ in item.digests))[0]
        if not strong:
            detail = f"the BOM has only {algorithm} of {shown(file.path)}, which can be forged"
            yield _observed("weak_digest", Severity.LOW, detail, file.path)
        if self._hasher is None:
            return
        real = self._hasher(file, algorithm)
        if real not in item.hexes(algorithm):
            yield self._mismatch(file, algorithm, min(item.hexes(algorithm)), real)
        else:
            self._named.add(hexadecimal(file.digest))

    def _mismatch(self, file: FileEntry, name: str, said: str, real: str) -> Observation:
        detail = f"the BOM says {shown(file.path)} has {name} {said}, the bytes have {real}"
        return _observed("digest_mismatch", Severity.HIGH, detail, file.path)

    def _meant(self, item: Component) -> FileEntry | None:
        """Returns the file a component speaks of: by path, by unique name, or the only model."""
        for wanted in (item.path, item.name):
            if (file := self._placed(wanted)) is not None:
                return file
        meant = self._models == 1 or item.name == self._spec.model.name
        if item.kind == MODEL and meant:
            return self._by_path.get(self._spec.model.artifact or "")
        return None

    def _placed(self, wanted: str) -> FileEntry | None:
        wanted = wanted.removeprefix("./")
        if not wanted:
            return None
        if wanted in self._by_path:
            return self._by_path[wanted]
        same = self._by_name.get(wanted.rpartition("/")[2], [])
        # Of many files of one name none is meant alone; looking at a few is enough to see that.
        matching = [file for file in same[:_MOST_NAMESAKES] if file.path.endswith(f"/{wanted}")]
        return matching[0] if len(matching) == 1 and len(same) <= _MOST_NAMESAKES else None


def _model_problems(
    components: Sequence[Component], spec: BundleSpec, path: str
) -> Iterator[Observation]:
    models = [item for item in components if item.kind == MODEL]
    if not models:
        detail = "the BOM has no machine-learning-model component: it says nothing of the model"
        yield _observed("no_model", Severity.MEDIUM, detail, path)
        return
    model = next((item for item in models if item.name == spec.model.name), None)
    if model is None:
        names = ", ".join(shown(item.name, 60) for item in models[:3])
        detail = f"the BOM speaks of {names}, the bundle of {shown(spec.model.name)}"
        yield _observed("other_model", Severity.MEDIUM, detail, path)
        return
    if model.version and model.version != spec.model.version:
        detail = (
            f"the BOM says version {shown(model.version, 60)}, "
            f"the bundle {shown(spec.model.version, 60)}"
        )
        yield _observed("version_mismatch", Severity.HIGH, detail, path)
    for licence in model.licences:
        if contradicts(licence.text, spec.claims.licence):
            detail = (
                f"the BOM says licence {shown(licence.text, 60)}, "
                f"the bundle claims {shown(str(spec.claims.licence), 60)}"
            )
            yield _observed("licence_mismatch", Severity.HIGH, detail, path)


def _licence_problems(
    components: Sequence[Component], spec: BundleSpec, path: str
) -> Iterator[Observation]:
    """Finds expressions that are none, and parts that ask for more than the claimed licence."""
    claimed = demands(spec.claims.licence or "")
    seen: dict[str, tuple[str, int | None]] = {}
    told: set[tuple[str, str]] = set()
    for item in components:
        for licence in item.licences:
            if (item.name, licence.text) in told:
                continue
            told.add((item.name, licence.text))
            if licence.text not in seen:
                if len(seen) == _MOST_LICENCES:
                    detail = f"only the first {_MOST_LICENCES} different licences were looked at"
                    yield _observed("licence_invalid", Severity.LOW, detail, path)
                    return
                problem = expression_problem(licence.text) if licence.is_spdx else ""
                seen[licence.text] = (problem, demands(licence.text))
            problem, asked = seen[licence.text]
            name = f"{shown(licence.text, 60)} of {shown(item.name, 80)}"
            if licence.is_spdx and problem:
                detail = f"the licence {name} is no SPDX expression: {shown(problem, 120)}"
                yield _observed("licence_invalid", Severity.LOW, detail, path)
            if item.name != spec.model.name and claimed == FREE and asked not in {FREE, None}:
                what = "restricts the use" if asked == RESTRICTED else "asks to share alike"
                severity = Severity.LOW if item.kind == LIBRARY else Severity.MEDIUM
                detail = (
                    f"the licence {name} {what}, "
                    f"the bundle claims {shown(str(spec.claims.licence), 60)} for the whole"
                )
                yield _observed("licence_incompatible", severity, detail, path)


def _observed(rule: str, severity: Severity, detail: str, location: str) -> Observation:
    return Observation(
        rule=f"provenance.bom.{rule}", severity=severity, detail=detail[:2000], location=location
    )
