"""How one check ran on one machine: kept beside the measurement, never inside it."""

from pydantic import Field

from tasks.domain.digest import DigestField
from tasks.domain.frozen import Frozen
from tasks.domain.ids import EntryId


class Execution(Frozen):
    """Clock and machine facts of one check; differs between runs of the same spec."""

    check: EntryId
    spec: DigestField
    measurement: DigestField
    seconds: float = Field(ge=0)
    reused: bool
    sandbox: str
    clock: str = Field(default="", exclude_if=lambda told: not told)
    """What the clock where it ran said at its end, RFC 3339; left out where that is this one."""
    skew_seconds: int = Field(default=0, exclude_if=lambda seconds: not seconds)
    """How far that clock was at least ahead (negative: behind) of the one that the run goes by."""
