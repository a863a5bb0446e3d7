"""What a check yields: facts, never a judgement."""

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from tasks.domain.digest import DigestField
from tasks.domain.estimate import Estimate
from tasks.domain.frozen import Frozen
from tasks.domain.ids import EntryId
from tasks.domain.severity import Severity


class Status(StrEnum):
    """How far a check came."""

    MEASURED = "measured"
    NOT_APPLICABLE = "not_applicable"  # the question does not arise for this asset
    NOT_AVAILABLE = "not_available"  # it arises, but something needed was not handed in
    ERROR = "error"  # it was asked and the asking broke


class Observation(Frozen):
    """One discrete fact: a rule that matched at a place."""

    rule: str
    severity: Severity
    detail: str
    location: str = ""


class Control(Frozen):
    """A case with a known answer, run beside the real one to show what the method can see.

    ``planted`` controls hold the defect and must be found; the others are clean and must not be.
    """

    name: str
    planted: bool
    found: bool
    estimate: Estimate | None = None
    detail: str = ""

    @property
    def held(self) -> bool:
        """Whether the method gave the known answer."""
        return self.planted == self.found


class Artifact(Frozen):
    """Bytes worth keeping: a witness, a curve, a picture."""

    name: str
    title: str
    media_type: str
    digest: DigestField
    size_bytes: int = Field(ge=0)


class Cost(Frozen):
    """What the facts cost, in units that do not depend on the machine.

    ``passes`` counts one forward or one backward of one input; ``queries`` counts inputs shown to
    the target alone.
    """

    passes: int = Field(default=0, ge=0)
    queries: int = Field(default=0, ge=0)


class Measurement(Frozen):
    """All facts that one check found. Equal specs give equal bytes: no clock, no host in here.

    ``alarms`` are reasons not to trust a reassuring number, such as gradient masking. A gate turns
    a pass with an alarm, or with a control that failed, into undecided.
    """

    check: EntryId
    version: int = Field(ge=1)
    status: Status
    detail: str
    estimates: dict[str, Estimate] = {}
    observations: tuple[Observation, ...] = ()
    controls: tuple[Control, ...] = ()
    alarms: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    method: str = ""
    facts: dict[str, str | int | float | bool | None] = {}
    artifacts: tuple[Artifact, ...] = ()
    cost: Cost = Cost()

    @model_validator(mode="after")
    def _status_has_substance(self) -> Self:
        if self.status is not Status.MEASURED and (self.estimates or not self.detail):
            raise ValueError(f"a {self.status} measurement has a reason and no estimates")
        return self
