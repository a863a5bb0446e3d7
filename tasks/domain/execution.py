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
