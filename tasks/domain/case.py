"""A case: one playbook followed for one incident, as a sequence of events that only grows."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from tasks.domain.digest import DigestField, digest_of
from tasks.domain.frozen import Frozen
from tasks.domain.ids import EntryId

Said = str | int | float | bool | tuple[str, ...]
"""What a step may say to later ones."""


class Ending(StrEnum):
    """How a step ended."""

    DONE = "done"
    SKIPPED = "skipped"
    """Its condition did not hold."""
    FAILED = "failed"
    """The action could not be done; it is tried again when the case is resumed."""
    DENIED = "denied"
    """The approver said no; what comes after waits for a person."""


class CaseEvent(Frozen):
    """One line of the timeline. Order is ``number``; ``at`` is what a clock said."""

    number: int = Field(ge=0)
    kind: Literal["opened", "started", "ended", "undone", "said", "closed"]
    at: AwareDatetime
    by: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    step: str = ""
    ending: Ending | None = None
    detail: Annotated[str, StringConstraints(max_length=4000)] = ""
    said: dict[str, Said] = {}
    undo: dict[str, Said] = {}
    """What the action needs to know to undo itself."""
    evidence: tuple[DigestField, ...] = ()


class CaseHead(Frozen):
    """What a case is about; its digest names the case."""

    incident: DigestField
    playbook: EntryId
    version: int
    entry: DigestField
    """Digest of the playbook's entry: another text is another case."""
    dry_run: bool

    @property
    def name(self) -> str:
        """``case-`` and twenty digits: the same incident and playbook are the same case."""
        return "case-" + digest_of(self.canonical()).removeprefix("sha256:")[:20]


class CaseClosing(Frozen):
    """What is signed when a case closes, and again when something is added to a closed one.

    ``events`` are the digests of its events' bytes from the first on, in order; nothing can be
    changed, taken out or put in between without one of them differing.
    """

    schema_: Literal["proofhouse.case-closing/1"] = Field(
        default="proofhouse.case-closing/1", alias="schema"
    )
    case: Annotated[str, StringConstraints(pattern=r"^case-[0-9a-f]{20}$")]
    head: DigestField
    """Digest of the bytes of the case's head, which names incident and playbook by digest."""
    events: tuple[DigestField, ...] = Field(min_length=1)
    dated: AwareDatetime
    """When the last of them was written."""

    @property
    def name(self) -> str:
        """The case and how many of its events are covered."""
        return f"{self.case}/{len(self.events):06d}"
