"""What a table of risk tiers must look like: which answers make which tier, and why."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from tasks.catalog.schema import Entry, Prose
from tasks.domain.finding import RiskTier
from tasks.domain.frozen import Frozen
from tasks.domain.ids import EntryId

FactorName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]*$", max_length=40)]
Reason = Annotated[str, Field(min_length=5, max_length=200)]


class Vote(Frozen):
    """One answer (or a number above a bound) and the tier that it speaks for."""

    answer: bool | str | None = None
    above: float | None = None
    tier: RiskTier
    reason: Reason

    @model_validator(mode="after")
    def _has_one_condition(self) -> Self:
        if (self.answer is None) == (self.above is None):
            raise ValueError("a vote is for one answer, or for numbers above a bound")
        return self


class Factor(Frozen):
    """One question about the use of an asset, and what each answer speaks for.

    For numbers the highest bound that is passed votes; a number above none votes low.
    """

    name: FactorName
    question: EntryId
    votes: tuple[Vote, ...] = Field(min_length=1)


class Condition(Frozen):
    """Holds when the answer is one of ``is``, or a number above ``above``."""

    is_: tuple[bool | str, ...] = Field(default=(), alias="is")
    above: float | None = None

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        if bool(self.is_) == (self.above is not None):
            raise ValueError("a condition has either 'is' or 'above'")
        return self


class Combination(Frozen):
    """Answers that are worse together than each alone."""

    when: dict[FactorName, Condition] = Field(min_length=2)
    tier: RiskTier
    reason: Reason


class Doubt(Frozen):
    """How far answers that are open or contradicted raise the tier.

    ``contradicted`` counts questions; ``open_share`` is the part of the required ones, 0 to 1.
    """

    measure: Literal["contradicted", "open_share"]
    at_least: float = Field(gt=0)
    tier: RiskTier
    reason: Reason


class TierEntry(Entry):
    """A rule table: ``catalogs/tiers/<family>/<name>.yaml``. The worst vote decides.

    ``unanswered`` is what silence on a factor speaks for; ``least`` is as low as a vendor's own
    answers can bring a tier.
    """

    purpose: Prose
    questionnaire: EntryId
    unanswered: RiskTier
    least: RiskTier
    factors: tuple[Factor, ...] = Field(min_length=1)
    combinations: tuple[Combination, ...] = ()
    doubts: tuple[Doubt, ...] = ()

    @model_validator(mode="after")
    def _factors_are_known(self) -> Self:
        names = [factor.name for factor in self.factors]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"factors given twice: {', '.join(doubled)}")
        used = {name for combination in self.combinations for name in combination.when}
        if strange := sorted(used - set(names)):
            raise ValueError(f"combinations name no factor: {', '.join(strange)}")
        return self

    @model_validator(mode="after")
    def _silence_is_not_low(self) -> Self:
        if self.unanswered is RiskTier.LOW:
            raise ValueError("unanswered may not be low: what nobody answered is not harmless")
        return self
