"""How much it weighs that a paper is missing or silent, by risk tier: ``catalogs/documents/``."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from tasks.catalog.schema import Entry
from tasks.domain.frozen import Frozen
from tasks.domain.severity import Severity

STANDARD, DATASET = "vendor.standard", "vendor.dataset"
"""Which entry holds for bundles with a model, and for data alone."""
RIGOUR = "rigour"
"""The parameter of checks that weigh gaps: 1, 2 or 3 for the tiers low, medium and high."""


class Gap(Frozen):
    """One rule that tells of something missing, and how bad that is in each tier."""

    rule: Annotated[str, StringConstraints(pattern=r"^provenance\.[a-z_]+\.[a-z0-9_]+$")]
    low: Severity
    medium: Severity
    high: Severity

    @model_validator(mode="after")
    def _never_falls(self) -> Self:
        ranks = [self.low.rank, self.medium.rank, self.high.rank]
        if ranks != sorted(ranks):
            raise ValueError(f"{self.rule}: a gap never weighs less in a higher tier")
        return self

    def severity(self, rigour: int) -> Severity:
        """Returns how bad the gap is at a rigour of 1, 2 or 3, for the tiers low to high."""
        return (self.low, self.medium, self.high)[rigour - 1]


class PapersEntry(Entry):
    """What papers must say, by tier: ``catalogs/documents/<family>/<name>.yaml``."""

    purpose: Annotated[str, Field(min_length=10, max_length=2000)]
    gaps: tuple[Gap, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rules_differ(self) -> Self:
        rules = [gap.rule for gap in self.gaps]
        if doubled := sorted({rule for rule in rules if rules.count(rule) > 1}):
            raise ValueError(f"rules given twice: {', '.join(doubled)}")
        return self


def papers_of(kind: str) -> str:
    """Returns the entry that holds for what a bundle is about: ``model`` or ``dataset``."""
    return DATASET if kind == "dataset" else STANDARD
