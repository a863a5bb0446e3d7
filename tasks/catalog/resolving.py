"""From a battery and a subject to specs: what exactly will be run."""

from collections.abc import Mapping

from tasks.catalog.papers import RIGOUR, read_papers
from tasks.catalog.reading import Catalog, entry_digest
from tasks.catalog.schema import CheckEntry
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest, DigestField, digest_of
from tasks.domain.errors import CatalogError
from tasks.domain.spec import CheckSpec, Parameter


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
        if isinstance(value, str) or not spec.minimum <= value <= spec.maximum:
            raise CatalogError(
                f"{entry.id}: {name} is {value!r}, allowed is {spec.minimum}..{spec.maximum}"
            )
        resolved[name] = value
    return resolved


def plan_checks(
    catalog: Catalog, battery: str, subject: Subject, *, code: Digest, sandbox: str, seed: int
) -> tuple[CheckSpec, ...]:
    """Returns one spec per check of the battery, bound to the subject's bytes."""
    return tuple(
        CheckSpec(
            check=strength.check,
            version=(entry := catalog.check(strength.check)).version,
            parameters=resolve_parameters(entry, strength.parameters),
            seed=seed,
            inputs=_inputs(entry, subject),
            code=code,
            sandbox=sandbox,
        )
        for strength in catalog.battery(battery).checks
    )


def _inputs(entry: CheckEntry, subject: Subject) -> dict[str, DigestField]:
    """Binds a check to what it reads, so that a change elsewhere does not cost a new run."""
    bound: dict[str, DigestField] = {
        "model": digest_of(subject.spec.model.canonical()),
        "claims": digest_of(subject.spec.claims.canonical()),
    }
    if entry.needs.target == "none" and not entry.needs.data:
        read: dict[str, DigestField] = {"subject": digest_of(subject.canonical())}
        # What gaps weigh is catalog data of its own: other weights are another measurement.
        return read | (
            {"papers": entry_digest(read_papers())} if RIGOUR in entry.parameters else {}
        )
    if entry.needs.target != "none":
        model = subject.spec.model
        for role, path in (("artifact", model.artifact), ("architecture", model.architecture)):
            if path and (file := subject.file(path)):
                bound[role] = file.digest
    if entry.needs.documents:
        for name, path in subject.spec.documents.model_dump().items():
            if path and (file := subject.file(path)):
                bound[f"document:{name}"] = file.digest
    for role in ("evaluation", "training"):
        if (dataset := subject.dataset(role)) and dataset.digest:
            bound[role] = dataset.digest
    return bound
