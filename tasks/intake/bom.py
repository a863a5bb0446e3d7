"""The vendor's AI-BOM (CycloneDX) held against the bytes that came."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tasks.domain.bundle import BundleSpec, FileEntry
from tasks.domain.digest import hexadecimal
from tasks.domain.errors import InvalidInputError
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.licences import contradicts
from tasks.intake.names import shown
from tasks.intake.strict_json import JsonCaps, parse_json

_CAPS = JsonCaps(most_bytes=4 << 20, nodes=100_000, depth=40)
_MOST_COMPONENTS = 10_000
_BOUND = {"machine-learning-model", "data", "file"}
_HEX = re.compile(r"[0-9a-fA-F]{64}")


class _Component(NamedTuple):
    """The parts of a CycloneDX component that speak of bytes."""

    kind: str
    name: str
    version: str
    path: str
    digests: frozenset[str]
    licences: tuple[str, ...]


def bom_observations(
    data: bytes, spec: BundleSpec, files: Sequence[FileEntry], *, path: str
) -> Iterator[Observation]:
    """Yields what the BOM says differently from the bundle, and where it is silent.

    Args:
        data: The BOM's bytes.
        spec: The bundle's manifest.
        files: What lies in quarantine.
        path: Where the BOM lies in the bundle.
    """
    try:
        value = _validated(parse_json(data, place=path, caps=_CAPS))
        components = list(_components(value))
    except InvalidInputError as error:
        yield _observed("unreadable", Severity.MEDIUM, error.message, path)
        return
    found = [
        *_digest_problems(components, spec, files, path),
        *_model_problems(components, spec, path),
    ]
    if not any(item.severity.rank >= Severity.MEDIUM.rank for item in found):
        detail = f"{len(components)} components; every digest of a file here is that of its bytes"
        yield _observed("matches", Severity.INFO, detail, path)
    yield from found


def _validated(value: Any) -> Mapping[str, Any]:
    """Returns the document when its own schema accepts it.

    Raises:
        InvalidInputError: Not CycloneDX JSON 1.2 to 1.7, or not valid.
    """
    # A second of imports (jsonschema and its formats) that only bundles with a BOM pay.
    from tasks.intake.bom_schema import known_version, schema_problem  # noqa: PLC0415

    if not isinstance(value, dict) or value.get("bomFormat") != "CycloneDX":
        raise InvalidInputError("The BOM is not CycloneDX JSON (bomFormat is missing).")
    version = known_version(str(value.get("specVersion")))
    if version is None:
        raise InvalidInputError(
            f"The BOM's specVersion {shown(str(value.get('specVersion')), 20)} is not known."
        )
    if problem := schema_problem(value, version):
        raise InvalidInputError(f"The BOM breaks its schema at {shown(problem)}")
    return value


def _components(bom: Mapping[str, Any]) -> Iterator[_Component]:
    """Walks the main component and all others, nested ones included."""
    main = bom.get("metadata", {}).get("component")
    waiting = [*([main] if main else []), *bom.get("components", [])]
    for seen in range(_MOST_COMPONENTS):
        if not waiting:
            return
        item = waiting.pop(0) if seen < 1 else waiting.pop()
        waiting.extend(item.get("components", []))
        yield _component(item)
    raise InvalidInputError(f"The BOM has more than {_MOST_COMPONENTS} components.")


def _component(item: Mapping[str, Any]) -> _Component:
    properties = {p.get("name"): p.get("value", "") for p in item.get("properties", [])}
    hashes = {
        entry["content"].lower()
        for entry in item.get("hashes", [])
        if entry["alg"] == "SHA-256" and _HEX.fullmatch(entry["content"])
    }
    licences = (entry.get("license", {}) for entry in item.get("licenses", []))
    return _Component(
        kind=item["type"],
        name=item["name"],
        version=str(item.get("version", "")),
        path=properties.get("proofhouse:path", ""),
        digests=frozenset(hashes),
        licences=tuple(found for lic in licences if (found := lic.get("id") or lic.get("name"))),
    )


def _digest_problems(
    components: Sequence[_Component], spec: BundleSpec, files: Sequence[FileEntry], path: str
) -> Iterator[Observation]:
    by_digest = {hexadecimal(file.digest) for file in files}
    for item in components:
        if item.kind not in _BOUND or not item.digests or item.digests & by_digest:
            continue
        file = _meant(item, components, spec, files)
        if file is not None:
            detail = (
                f"the BOM says {shown(file.path)} has SHA-256 {min(item.digests)}, "
                f"the bytes have {hexadecimal(file.digest)}"
            )
            yield _observed("digest_mismatch", Severity.HIGH, detail, file.path)
        else:
            severity = Severity.MEDIUM if item.path else Severity.LOW
            detail = f"the BOM describes {shown(item.name, 80)}, whose bytes did not come"
            yield _observed("file_missing", severity, detail, path)
    named = set().union(*(item.digests for item in components)) if components else set()
    yield from _unlisted(spec, files, named, path)


def _meant(
    item: _Component,
    components: Sequence[_Component],
    spec: BundleSpec,
    files: Sequence[FileEntry],
) -> FileEntry | None:
    """Returns the file that a component speaks of: by path, by unique name, or the only model."""
    for wanted in (item.path, item.name):
        matching = [
            f for f in files if wanted and (f.path == wanted or f.path.endswith(f"/{wanted}"))
        ]
        if len(matching) == 1:
            return matching[0]
    models = [c for c in components if c.kind == "machine-learning-model" and c.digests]
    if item in models and (len(models) == 1 or item.name == spec.model.name):
        return next((file for file in files if file.path == spec.model.artifact), None)
    return None


def _unlisted(
    spec: BundleSpec, files: Sequence[FileEntry], named: set[str], path: str
) -> Iterator[Observation]:
    data = [d.path for d in (spec.data.evaluation, spec.data.training) if d is not None]
    for file in files:
        if hexadecimal(file.digest) in named:
            continue
        if file.path == spec.model.artifact:
            detail = f"the BOM has no SHA-256 that the artifact {shown(file.path)} has"
            yield _observed("artifact_not_covered", Severity.MEDIUM, detail, path)
        elif file.path in data:
            detail = f"the BOM does not list the data file {shown(file.path)}"
            yield _observed("file_not_listed", Severity.LOW, detail, path)


def _model_problems(
    components: Sequence[_Component], spec: BundleSpec, path: str
) -> Iterator[Observation]:
    models = [item for item in components if item.kind == "machine-learning-model"]
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
        if contradicts(licence, spec.claims.licence):
            detail = (
                f"the BOM says licence {shown(licence, 60)}, "
                f"the bundle claims {shown(str(spec.claims.licence), 60)}"
            )
            yield _observed("licence_mismatch", Severity.HIGH, detail, path)


def _observed(rule: str, severity: Severity, detail: str, location: str) -> Observation:
    return Observation(
        rule=f"provenance.bom.{rule}", severity=severity, detail=detail[:2000], location=location
    )
