"""What intake found in the papers, shared out among the questions of this family.

The papers are read as text at intake, on the trusted side, because only there the operator's keys
and advisories are known. A check gathers its part and weighs gaps by the risk tier.
"""

from tasks.catalog.papers import RIGOUR, papers_of
from tasks.checks.lab import Lab
from tasks.domain.measurement import Measurement, Observation, Status
from tasks.domain.severity import Severity
from tasks.intake.gaps import weighed

FAMILY = "provenance."
SHARES: dict[str, tuple[str, ...]] = {
    "provenance.signature": ("signature",),
    "provenance.bom": ("bom",),
    "provenance.dependencies": ("dependencies",),
    "provenance.advisories": ("advisories",),
    "provenance.lineage": ("lineage", "croissant", "rows"),
    "provenance.documents": ("model_card", "card", "datasheet", "documents"),
}
"""Which rules belong to which check; ``provenance.manifest`` takes all the others."""


def gathered(lab: Lab, check: str) -> tuple[Observation, ...]:
    """Returns a check's share of what intake found, gaps weighed by the parameter ``rigour``."""
    taken = {name for names in SHARES.values() for name in names}
    mine = set(SHARES.get(check, ()))
    found = [item for item in lab.subject.observations if item.rule.startswith(FAMILY)]
    share = (item for item in found if (_part(item) in mine if mine else _part(item) not in taken))
    return weighed(share, lab.count(RIGOUR), papers=papers_of(lab.subject.spec.model.kind))


def measured(
    check: str,
    found: tuple[Observation, ...],
    detail: str,
    *,
    method: str,
    facts: dict[str, str | int | float | bool | None],
    limits: tuple[str, ...] = (),
) -> Measurement:
    """Builds the measurement of a check that gathers observations."""
    return Measurement(
        check=check,
        version=2 if check == "provenance.manifest" else 1,
        status=Status.MEASURED,
        detail=detail,
        observations=found,
        method=method,
        facts=facts,
        limits=limits,
    )


def serious(found: tuple[Observation, ...]) -> int:
    """Counts the observations of at least medium severity."""
    return sum(item.severity.rank >= Severity.MEDIUM.rank for item in found)


def state(found: tuple[Observation, ...], family: str, states: tuple[str, ...]) -> str:
    """Returns the first of ``states`` that a rule of a family names, or nothing."""
    rules = {item.rule for item in found}
    return next((each for each in states if f"{FAMILY}{family}.{each}" in rules), "")


def _part(item: Observation) -> str:
    return item.rule.removeprefix(FAMILY).partition(".")[0]
