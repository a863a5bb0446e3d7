"""From a battery and a subject to specs: what exactly will be run."""

import re
from collections.abc import Mapping

from tasks.catalog.papers import RIGOUR, papers_of
from tasks.catalog.reading import Catalog, entry_digest
from tasks.catalog.schema import CheckEntry, IntervalGate, TextSpec
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest, DigestField, digest_of
from tasks.domain.errors import CatalogError
from tasks.domain.spec import CheckSpec, Parameter

SETTLE_AT = "settle_at"
"""The parameter that tells a sequential check where its gate looks."""
LONGEST_TEXT = 2000


def resolve_parameters(entry: CheckEntry, chosen: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """Returns every parameter of a check, defaults replaced by ``chosen`` ones.

    Raises:
        CatalogError: A chosen parameter is unknown or outside its range.
    """
    if unknown := sorted(set(chosen) - set(entry.parameters)):
        raise CatalogError(f"{entry.id} has no parameter called {', '.join(unknown)}")
    resolved: dict[str, Parameter] = {}
    for name, spec in entry.parameters.items():
        value = chosen.get(name, spec.default)
        if isinstance(spec, TextSpec):
            resolved[name] = _text(entry, name, spec, value)
            continue
        if isinstance(value, str) or not spec.minimum <= value <= spec.maximum:
            raise CatalogError(
                f"{entry.id}: {name} is {value!r}, allowed is {spec.minimum}..{spec.maximum}"
            )
        resolved[name] = value
    return resolved


def _text(entry: CheckEntry, name: str, spec: TextSpec, value: Parameter) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise CatalogError(
            f"{entry.id}: {name} takes up to {LONGEST_TEXT} characters, not {value!r:.80}"
        )
    if not re.fullmatch(spec.pattern, value, re.DOTALL):
        raise CatalogError(f"{entry.id}: {name} is {value!r:.80}, it must match {spec.pattern}")
    return value


def plan_checks(
    catalog: Catalog,
    battery: str,
    subject: Subject,
    *,
    code: Digest,
    sandbox: str,
    seed: int,
    thresholds: Mapping[str, float] | None = None,
    settings: Mapping[str, Mapping[str, Parameter]] | None = None,
) -> tuple[CheckSpec, ...]:
    """Returns one spec per check of the battery, bound to the subject's bytes.

    A check with the parameter ``settle_at`` samples until it is clear on which side of that number
    its estimate lies. ``thresholds`` are those of the policy; without one, it is the gate's own.
    ``settings`` are an operator's own parameters by check; they come before the battery's.
    """
    return tuple(
        CheckSpec(
            check=strength.check,
            version=(entry := catalog.check(strength.check)).version,
            parameters=resolve_parameters(
                entry,
                _settling(entry, thresholds or {})
                | dict(strength.parameters)
                | dict((settings or {}).get(entry.id, {})),
            ),
            seed=seed,
            inputs=_inputs(entry, subject, catalog),
            code=code,
            sandbox=sandbox,
        )
        for strength in catalog.battery(battery).checks
    )


def _settling(entry: CheckEntry, thresholds: Mapping[str, float]) -> dict[str, Parameter]:
    if SETTLE_AT not in entry.parameters or not isinstance(entry.gate, IntervalGate):
        return {}
    return {SETTLE_AT: thresholds.get(entry.id, entry.gate.threshold)}


def _inputs(entry: CheckEntry, subject: Subject, catalog: Catalog) -> dict[str, DigestField]:
    """Binds a check to what it reads, so that a change elsewhere does not cost a new run."""
    bound: dict[str, DigestField] = {
        "model": digest_of(subject.spec.model.canonical()),
        "claims": digest_of(subject.spec.claims.canonical()),
    }
    if entry.needs.target == "none" and not entry.needs.data:
        return {"subject": digest_of(subject.canonical())} | _weights(entry, subject, catalog)
    model = subject.spec.model
    if entry.needs.target != "none":
        files = {"artifact": model.artifact, "architecture": model.architecture}
        bound |= _digests(subject, files)
        if subject.spec.training is not None:
            bound["recipe"] = digest_of(subject.spec.training.canonical())
    if entry.needs.documents:
        documents = subject.spec.documents.model_dump().items()
        bound |= _digests(subject, {f"document:{name}": path for name, path in documents})
    for role in ("evaluation", "training"):
        if (dataset := subject.dataset(role)) and dataset.digest:
            bound[role] = dataset.digest
    if entry.needs.data and subject.spec.data.escrow is not None:
        bound["escrow"] = digest_of(subject.spec.data.escrow.canonical())
    return bound


def _weights(entry: CheckEntry, subject: Subject, catalog: Catalog) -> dict[str, DigestField]:
    """What gaps weigh is catalog data of its own: other weights are another measurement."""
    if RIGOUR not in entry.parameters:
        return {}
    return {"papers": entry_digest(catalog.papers(papers_of(subject.spec.model.kind)))}


def _digests(subject: Subject, paths: Mapping[str, str | None]) -> dict[str, DigestField]:
    return {
        role: file.digest
        for role, path in paths.items()
        if path and (file := subject.file(path)) is not None
    }
