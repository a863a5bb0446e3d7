"""Following a playbook: does what can be done now, writes down every step before and after.

A process may die anywhere. ``started`` is written before an action and ``ended`` after it, so a
resumed case finds a step that was under way and does it again; actions bring about states, hence
twice is once. Only one process follows a case on one machine (a lock in the home); between
machines the orchestrator's concurrency limit does the same.
"""

import contextlib
import fcntl
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tasks.catalog.playbooks import PlaybookEntry, Step
from tasks.catalog.reading import entry_digest
from tasks.domain.case import CaseEvent, CaseHead, Ending, Said
from tasks.domain.errors import InvalidInputError, ProofhouseError
from tasks.domain.incident import Incident
from tasks.ledger.cases import seal_closing
from tasks.ledger.witness import Witness
from tasks.response.acting import Acted, Order, World, action, undoing
from tasks.response.case_log import CaseLog
from tasks.response.case_state import AWARE, CaseState, Standing

MACHINE = "proofhouse"
Clock = Callable[[], datetime]
Approved = Callable[[str, Step], tuple[bool, str, str] | None]
"""Looks for a signed answer to a gate: (granted, by whom, in words), or None when there is none."""


def now_utc() -> datetime:
    """Returns the present moment, without fractions of a second."""
    return datetime.now(UTC).replace(microsecond=0)


class Following(NamedTuple):
    """What it takes to follow one case."""

    playbook: PlaybookEntry
    incident: Incident
    log: CaseLog
    world: World
    approved: Approved
    clock: Clock = now_utc

    @property
    def name(self) -> str:
        """The case's id."""
        return self.log.head.name

    def state(self) -> CaseState:
        """Reads where the case stands."""
        return CaseState(
            self.playbook, self.incident, self.log.events(), assuming=self.log.head.dry_run
        )


def open_case(
    playbook: PlaybookEntry, incident: Incident, world: World, *, dry_run: bool
) -> CaseLog:
    """Opens the case of this playbook and incident, or finds the one that is there."""
    head = CaseHead(
        incident=world.store.put(incident.canonical()).digest,
        playbook=playbook.id,
        version=playbook.version,
        entry=entry_digest(playbook),
        dry_run=dry_run,
    )
    return CaseLog(world.store, head)


@contextlib.contextmanager
def alone(home: Path, case: str) -> Iterator[None]:
    """Keeps every other process of this machine from following the case meanwhile.

    Raises:
        InvalidInputError: Somebody else follows it right now.
    """
    folder = home / "cases"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{case}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidInputError(
                f"{case} is being followed by another process. Wait for it, or look: "
                f"proofhouse cases show {case}"
            ) from None
        yield


def follow(work: Following, *, by: str) -> CaseState:
    """Does every step that needs nobody, until people are waited for or all is done.

    An action that fails is written down and left for the next time; what does not depend on it
    goes on.
    """
    if not work.state().events:
        detail = f"{work.playbook.title}: {work.incident.title}"
        _write(work, kind="opened", by=by, detail=detail)
    tried: set[str] = set()
    while True:
        state = work.state()
        step = next((one for one in state.to_do() if one.id not in tried), None)
        if step is None or state.closed:
            break
        tried.add(step.id)
        if not state.holds(step) and state.standing(step) in {Standing.READY, Standing.DENIED}:
            told = f"{step.when.value} is {state.value(step.when.value)!r}" if step.when else ""
            _end(work, step, Ending.SKIPPED, by=MACHINE, detail=told)
        elif step.action is not None:
            _do(work, step, state)
        elif work.log.head.dry_run:
            _end(work, step, Ending.DONE, by=MACHINE, detail="taken as done in a dry run")
        elif step.gate is not None and (answer := work.approved(work.name, step)) is not None:
            granted, who, words = answer
            if not granted and state.standing(step) is Standing.DENIED:
                continue
            _end(work, step, Ending.DONE if granted else Ending.DENIED, by=who, detail=words)
    return _closed_when_finished(work, by)


def tell(
    work: Following, *, by: str, step: str = "", said: dict[str, Said] | None = None, detail: str
) -> None:
    """Writes down what a person says: about the incident, or that a manual step is done.

    Raises:
        InvalidInputError: There is no such step, or it is not a person's to end now.
    """
    _verify_said(said or {})
    if not step:
        _write(work, kind="said", by=by, detail=detail, said=said or {})
        return
    state = work.state()
    found = next((one for one in work.playbook.steps if one.id == step), None)
    waiting = [one.id for one in state.to_do() if one.kind == "manual"]
    if found is None or found.id not in waiting:
        names = ", ".join(waiting) or "none"
        raise InvalidInputError(
            f"{step!r} is no manual step that can be done now. Waiting for people: {names}."
        )
    _end(work, found, Ending.DONE, by=by, detail=detail, said=said)


def _verify_said(said: Mapping[str, Said]) -> None:
    """Refuses a moment of awareness that is none: legal clocks would count from it."""
    if (told := said.get(AWARE)) is None:
        return
    try:
        moment = datetime.fromisoformat(str(told))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidInputError(
            f"{AWARE} is {told!r}, which is no moment with a time zone: 2026-01-31T07:05:00Z"
        )


def undo(work: Following, step_id: str, *, by: str) -> str:
    """Puts back what the action of a step did; returns what was done.

    Raises:
        InvalidInputError: The step was not done, is a person's, or cannot be undone.
    """
    state = work.state()
    step = next((one for one in work.playbook.steps if one.id == step_id), None)
    if step is None or state.standing(step) is not Standing.DONE:
        raise InvalidInputError(f"{step_id!r} is not done, so there is nothing to undo.")
    if step.action is None:
        how = step.undone_by or "nothing is known about undoing it"
        raise InvalidInputError(f"{step_id} was done by a person: {how}.")
    back = undoing(step.action.name)
    last = state.last(step)
    if back is None or last is None:
        raise InvalidInputError(f"{step_id} ({step.action.name}) cannot be undone.")
    dry = work.log.head.dry_run
    told = (
        "nothing to undo after a dry run"
        if dry
        else back(_order(work, step, state), last.undo, work.world)
    )
    _write(work, kind="undone", by=by, step=step.id, detail=told)
    return told


def _do(work: Following, step: Step, state: CaseState) -> None:
    assert step.action is not None, "only actions are done"
    _write(work, kind="started", by=MACHINE, step=step.id)
    try:
        done = _acted(work, step, state)
    except ProofhouseError as error:
        _end(work, step, Ending.FAILED, by=MACHINE, detail=error.message)
    except KeyError as missing:
        name = str(missing.args[0])
        _end(work, step, Ending.FAILED, by=MACHINE, detail=f"nobody said {name}: say it, resume")
    else:
        _write(
            work, kind="ended", by=MACHINE, step=step.id, ending=Ending.DONE,
            detail=done.detail, said=done.said, undo=done.undo, evidence=done.evidence,
        )  # fmt: skip


def _acted(work: Following, step: Step, state: CaseState) -> Acted:
    assert step.action is not None, "only actions are done"
    member = action(step.action.name)
    if not work.log.head.dry_run:
        return member.act(_order(work, step, state), work.world)
    assumed: dict[str, Said] = getattr(member, "ASSUMED", {})
    try:
        would = member.preview(_order(work, step, state), work.world)
    except KeyError as missing:
        return Acted(f"would need {missing.args[0]}", assumed)
    except ProofhouseError as error:
        return Acted(f"would fail as things are: {error.message}", assumed)
    return Acted(f"would: {would}", assumed)


def _order(work: Following, step: Step, state: CaseState) -> Order:
    return Order(
        key=f"{work.name}/{step.id}",
        case=work.name,
        step=step.id,
        incident=work.incident,
        parameters=state.parameters(step),
        by=MACHINE,
    )


def _end(
    work: Following, step: Step, ending: Ending, *, by: str, detail: str,
    said: dict[str, Said] | None = None,
) -> None:  # fmt: skip
    _write(work, kind="ended", by=by, step=step.id, ending=ending, detail=detail, said=said or {})


def _closed_when_finished(work: Following, by: str) -> CaseState:
    state = work.state()
    if state.finished and not state.closed:
        _write(work, kind="closed", by=by, detail="every step is done, undone or skipped")
    state = work.state()
    if state.closed and not work.log.head.dry_run:
        # Also of a case that was closed before: a process may have died, or something was undone.
        seal_closing(
            work.name,
            store=work.world.store,
            signer=work.world.signer(),
            trust=work.world.trust(),
            witness=Witness(work.world.home),
        )
    return state


def _write(work: Following, **values: object) -> None:
    while True:
        number = len(work.log.events())
        event = CaseEvent.model_validate({"number": number, "at": work.clock(), **values})
        if work.log.append(event):
            return
