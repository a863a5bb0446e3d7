"""What a catalog entry must look like. The JSON Schemas in catalogs/schemas/ are made from this."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tasks.domain.finding import Outcome, References, RiskTier
from tasks.domain.frozen import Frozen
from tasks.domain.ids import EntryId
from tasks.domain.severity import Severity
from tasks.domain.spec import Parameter

Prose = Annotated[str, Field(min_length=10, max_length=2000)]
Lifecycle = Literal["experimental", "stable", "deprecated"]


class ParameterSpec(Frozen):
    """One knob: its unit, default, and the range an operator may choose from."""

    unit: Literal[
        "input_range_fraction",
        "queries",
        "count",
        "fraction",
        "seconds",
        "percentile",
        "flag",
        "level",
    ]
    default: float | int | bool
    minimum: float | int | bool
    maximum: float | int | bool

    @model_validator(mode="after")
    def _default_is_allowed(self) -> Self:
        if not self.minimum <= self.default <= self.maximum:
            raise ValueError(f"default {self.default} is outside {self.minimum}..{self.maximum}")
        return self


class Needs(Frozen):
    """What must have been handed in before the question can be asked.

    ``documents`` says that the papers are read, too, so that other papers are another measurement.
    """

    target: Literal["none", "labels", "scores", "gradients"] = "none"
    data: tuple[Literal["evaluation", "training"], ...] = ()
    tasks: tuple[Literal["classification", "regression", "chat"], ...] = ()
    documents: bool = False


class IntervalGate(Frozen):
    """Compares the interval of one estimate with a threshold."""

    kind: Literal["interval"]
    estimate: str
    good: Literal["above", "below"]
    threshold: float


class ObservationsGate(Frozen):
    """Fails when any observation is at least this severe."""

    kind: Literal["observations"]
    fail_at: Severity


Gate = Annotated[IntervalGate | ObservationsGate, Field(discriminator="kind")]


class Entry(Frozen):
    """What all entries say first. ``version`` rises when results stop being comparable."""

    id: EntryId
    version: int = Field(ge=1)
    title: Annotated[str, Field(min_length=3, max_length=80)]


class CheckEntry(Entry):
    """One question: ``catalogs/checks/<family>/<name>.yaml``.

    ``typical_seconds`` (on the demo's bundle) only decides which check starts first.
    """

    lifecycle: Lifecycle
    question: Annotated[str, Field(min_length=10, max_length=200, pattern=r"\?$")]
    why: Prose
    needs: Needs = Needs()
    parameters: dict[str, ParameterSpec] = {}
    typical_seconds: float = Field(default=1, gt=0)
    gate: Gate
    severity: Severity
    blind_spots: tuple[Prose, ...] = Field(min_length=1)
    remediation: Prose
    references: References
    source: Prose


class Strength(Frozen):
    """One check in a battery, with the parameters that differ from its defaults."""

    check: EntryId
    parameters: dict[str, Parameter] = {}


class BatteryEntry(Entry):
    """A named list of checks: ``catalogs/batteries/<family>/<name>.yaml``."""

    purpose: Prose
    checks: tuple[Strength, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_check_once(self) -> Self:
        names = [entry.check for entry in self.checks]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"checks listed twice: {', '.join(doubled)}")
        return self


class Rule(Frozen):
    """How a policy treats one check.

    ``required`` means that anything but a pass or not_applicable keeps the asset from being
    accepted. ``threshold`` replaces the gate's own.
    """

    check: EntryId
    required: bool = True
    threshold: float | None = None
    severity: Severity | None = None


class PolicyEntry(Entry):
    """From findings to a verdict for one risk tier: ``catalogs/policies/<family>/<name>.yaml``.

    A failed finding refuses at ``refuse_at`` severity or above, else it becomes a condition.
    A required check that ended in one of ``review_on`` sends the asset to a person.
    """

    purpose: Prose
    tier: RiskTier
    battery: EntryId
    refuse_at: Severity
    review_on: tuple[Outcome, ...] = Field(min_length=1)
    rules: tuple[Rule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _silence_is_not_success(self) -> Self:
        must_review = {Outcome.UNDECIDED, Outcome.NOT_AVAILABLE, Outcome.ERROR}
        if missing := must_review - set(self.review_on):
            raise ValueError(f"review_on must also name {', '.join(sorted(missing))}")
        return self

    @model_validator(mode="after")
    def _one_rule_per_check(self) -> Self:
        names = [rule.check for rule in self.rules]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"checks with two rules: {', '.join(doubled)}")
        return self
