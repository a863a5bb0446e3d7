"""A night: what became of every live asset, and what changed since the last sealed evidence."""

from typing import Literal

from pydantic import Field

from tasks.domain.digest import DigestField
from tasks.domain.estimate import Estimate
from tasks.domain.finding import Outcome
from tasks.domain.frozen import Frozen
from tasks.domain.ids import EntryId

Happening = Literal["unchanged", "reassessed", "failed"]


class Change(Frozen):
    """One finding that is not what it was; ``before`` or ``after`` is None when it is new or gone.

    ``why`` names what differs between the two measurements, in words; empty means that nothing
    that is recorded does.
    """

    check: EntryId
    before: Outcome | None
    after: Outcome | None
    estimate_before: Estimate | None = None
    estimate_after: Estimate | None = None
    why: tuple[str, ...] = ()

    @property
    def worse(self) -> bool:
        """Whether it no longer reassures."""
        return self.before is Outcome.PASS and self.after is not Outcome.PASS


class Spending(Frozen):
    """What one control may still cost in false alarms: its ``number``-th new test, at ``alpha``."""

    check: EntryId
    number: int = Field(ge=1)
    alpha: float = Field(gt=0, lt=1)


class AssetNight(Frozen):
    """One asset's night. ``run`` is the evidence that holds now, ``before`` the one before it."""

    asset: str
    tier: str
    happened: Happening
    run: str
    before: str = ""
    verdict: str = ""
    verdict_before: str = ""
    reasons: tuple[str, ...] = ()
    """Why it was measured again; empty when nothing differs."""
    changes: tuple[Change, ...] = ()
    spent: tuple[Spending, ...] = ()
    problem: str = ""

    @property
    def alarming(self) -> bool:
        """Whether a person has to look: it failed, or a finding or the verdict got worse."""
        return bool(
            self.problem
            or self.happened == "failed"
            or any(change.worse for change in self.changes)
            or (self.verdict_before.startswith("accepted") and not self.verdict.startswith("acc"))
        )


class Night(Frozen):
    """One whole night, as it is signed. ``night`` is ``date-number`` in the schedule's zone."""

    schema_: Literal["proofhouse.night/1"] = Field(default="proofhouse.night/1", alias="schema")
    night: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}-\d{2}$")
    started: str
    ended: str
    alpha: float = Field(gt=0, lt=1)
    """Chance of ever raising a false alarm about one check of one version, over all its nights."""
    code: DigestField
    assets: tuple[AssetNight, ...]
