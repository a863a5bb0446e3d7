"""``bundle.yaml``: found, parsed strictly, and held against the files that came with it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from tasks.domain.bundle import BundleSpec, FileEntry
from tasks.domain.errors import InvalidInputError
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.archives import unpack
from tasks.intake.names import is_invisible, mixes_scripts, shown
from tasks.intake.quarantine import QUOTAS, Quotas, quarantine
from tasks.intake.scratch import scratch
from tasks.intake.strict_yaml import parse_yaml
from tasks.store.protocol import ObjectStore

MANIFEST = "bundle.yaml"
_FIXES = {
    "extra_forbidden": "unknown key; remove it or correct its spelling",
    "missing": "required key is missing; add it",
    "string_type": "must be text; put it in quotes",
}


class Bundle(NamedTuple):
    """A bundle in quarantine: what it says, what came, and what is odd about the two."""

    spec: BundleSpec
    files: tuple[FileEntry, ...]
    observations: tuple[Observation, ...]


def read_bundle(
    path: Path, store: ObjectStore, *, workspace: Path, quotas: Quotas = QUOTAS
) -> Bundle:
    """Takes a bundle folder, its ``bundle.yaml``, or an archive of it into quarantine.

    Raises:
        InvalidInputError: The bundle cannot be used; the message lists every problem found.
        StoreError: The disk or the store failed.
    """
    with _folder(path, workspace, quotas) as folder:
        if not (folder / MANIFEST).is_file():
            raise InvalidInputError(
                f"{shown(str(path))} has no {MANIFEST}. Put one at the top of the bundle; it says "
                "who hands in which model, data and documents."
            )
        files = quarantine(folder, store, quotas=quotas, workspace=workspace)
    entry = next(file for file in files if file.path == MANIFEST)
    spec = parse_manifest(store.get(entry.digest))
    _refuse_missing(spec, files)
    return Bundle(spec, files, (*_digest_claims(spec, files), *_odd_names(spec, files)))


def parse_manifest(data: bytes) -> BundleSpec:
    """Returns what the bytes of ``bundle.yaml`` say.

    Raises:
        InvalidInputError: Not strict YAML or not the schema; every problem is in the message.
    """
    value = parse_yaml(data, place=MANIFEST)
    if not isinstance(value, dict):
        raise InvalidInputError(f"{MANIFEST} must be a mapping that starts with 'schema:'.")
    try:
        return BundleSpec.model_validate(value)
    except ValidationError as error:
        problems = "; ".join(_problem(issue) for issue in error.errors()[:20])
        raise InvalidInputError(f"{MANIFEST} cannot be used: {problems}.") from error


def named_paths(spec: BundleSpec) -> dict[str, str]:
    """Returns every path that the manifest names, by the key that names it."""
    model, data, documents = spec.model, spec.data, spec.documents
    named = {
        "model.artifact": model.artifact,
        "model.architecture": model.architecture,
        "data.evaluation.path": data.evaluation and data.evaluation.path,
        "data.training.path": data.training and data.training.path,
        **{f"documents.{name}": path for name, path in documents.model_dump().items()},
        "signature.path": spec.signature and spec.signature.path,
    }
    return {key: path for key, path in named.items() if path}


@contextmanager
def _folder(path: Path, workspace: Path, quotas: Quotas) -> Iterator[Path]:
    if path.is_dir():
        yield path
    elif path.name == MANIFEST and path.is_file():
        yield path.parent
    elif path.is_file():
        with scratch(workspace, "unpacked") as into:
            unpack(path, into, quotas=quotas)
            yield _top(into)
    else:
        raise InvalidInputError(
            f"{shown(str(path))} is neither a folder nor a plain file. Name the folder that holds "
            f"{MANIFEST}, or a .zip or .tar.gz of it."
        )


def _top(folder: Path) -> Path:
    """Archives often wrap everything in one folder; that folder is the bundle then."""
    inside = list(folder.iterdir())
    wrapped = len(inside) == 1 and inside[0].is_dir() and not (folder / MANIFEST).exists()
    return inside[0] if wrapped else folder


def _problem(issue: Any) -> str:
    place = ".".join(shown(str(part)) for part in issue["loc"]) or "the whole file"
    fix = _FIXES.get(issue["type"])
    message = fix or shown(str(issue["msg"]).removeprefix("Value error, "))
    return f"{place}: {message}"


def _refuse_missing(spec: BundleSpec, files: Sequence[FileEntry]) -> None:
    there = {file.path for file in files}
    missing = [
        f"{key} names {shown(path)}" for key, path in named_paths(spec).items() if path not in there
    ]
    if missing:
        raise InvalidInputError(
            f"{MANIFEST} names files that did not come: {'; '.join(missing)}. Add the files or "
            "correct the paths (they are relative to the bundle, with forward slashes)."
        )


def _digest_claims(spec: BundleSpec, files: Sequence[FileEntry]) -> Iterator[Observation]:
    """Compares the optional ``digests`` of the manifest with the bytes."""
    there = {file.path: file.digest for file in files}
    for path, claimed in sorted(spec.digests.items()):
        if path not in there:
            detail = f"digests names {shown(path)}, which did not come"
            yield _observed("missing_file", Severity.HIGH, detail, MANIFEST)
        elif there[path] != claimed:
            detail = f"{shown(path)} should be {claimed}, the bytes are {there[path]}"
            yield _observed("digest_mismatch", Severity.HIGH, detail, path)
    if spec.digests:
        for path in sorted(set(there) - set(spec.digests) - {MANIFEST}):
            if spec.signature is None or path != spec.signature.path:
                detail = f"{shown(path)} came, but the manifest's digests do not list it"
                yield _observed("unlisted_file", Severity.MEDIUM, detail, path)


def _odd_names(spec: BundleSpec, files: Sequence[FileEntry]) -> Iterator[Observation]:
    names = [("file", file.path) for file in files]
    names += [
        ("vendor", spec.vendor.name),
        ("model", spec.model.name),
        ("version", spec.model.version),
    ]
    for kind, name in names:
        if any(is_invisible(char) for char in name):
            detail = f"the {kind} name {shown(name)!r} holds invisible characters"
            yield _observed("deceptive_name", Severity.HIGH, detail, shown(name))
        elif mixes_scripts(name):
            detail = f"the {kind} name {shown(name)!r} mixes alphabets that look alike"
            yield _observed("deceptive_name", Severity.MEDIUM, detail, shown(name))


def _observed(rule: str, severity: Severity, detail: str, location: str) -> Observation:
    return Observation(
        rule=f"provenance.manifest.{rule}", severity=severity, detail=detail, location=location
    )
