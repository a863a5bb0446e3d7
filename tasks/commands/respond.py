"""``proofhouse respond`` and ``cases``: playbooks followed step by step, by hand or by alarm."""

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tasks.answering import EXIT_OK, EXIT_UNDECIDED, Answer
from tasks.casework import read_incident, take_up, take_up_known, world_of
from tasks.catalog.playbooks import ClockEntry
from tasks.catalog.reading import Catalog
from tasks.domain.case import Said
from tasks.domain.errors import InvalidInputError
from tasks.orchestration import served_address
from tasks.response.acting import World
from tasks.response.case_log import known_cases
from tasks.response.case_state import CaseState, Standing
from tasks.response.following import Following, alone, follow, tell, undo
from tasks.settings import read_settings

_MARK = {
    Standing.DONE: "done", Standing.SKIPPED: "skipped", Standing.FAILED: "FAILED",
    Standing.DENIED: "DENIED", Standing.UNDONE: "undone", Standing.READY: "waits for",
    Standing.RUNNING: "running", Standing.WAITING: "later", Standing.UNKNOWN: "needs to know",
}  # fmt: skip


def respond_answer(
    playbook: str, incident: Path, *, dry_run: bool, done: str, undone: str,
    facts: Sequence[str], note: str, by: str,
) -> Answer:  # fmt: skip
    """Follows a playbook as far as it goes without people, and says whom it waits for."""
    work = take_up(playbook, read_incident(incident), _world(), dry_run=dry_run)
    with alone(work.world.home, work.name):
        who = by.strip() or getpass.getuser()
        if facts:
            tell(work, by=who, said=_facts(facts), detail=note or "said by hand")
        if done:
            follow(work, by=who)
            tell(work, by=who, step=done, detail=note or "done")
        if undone:
            undo(work, undone, by=who)
        state = follow(work, by=who)
    return _told(work, state)


def cases_answer() -> Answer:
    """Lists every case."""
    world = _world()
    rows = []
    for head in known_cases(world.store):
        try:
            work = take_up_known(head.name, world)
            title, standing = work.incident.title, _summary(work.state())
        except InvalidInputError as error:
            title, standing = "", error.message
        rows.append(
            {"case": head.name, "playbook": head.playbook, "dry_run": head.dry_run,
             "incident": title, "standing": standing}
        )  # fmt: skip
    lines = [
        f"{row['case']}  {row['playbook']}  {row['incident']}: {row['standing']}" for row in rows
    ]
    return Answer({"cases": rows}, lines or ["no cases yet"])


def case_answer(name: str) -> Answer:
    """Shows one case: steps, deadlines, clocks, timeline."""
    work = take_up_known(name, _world())
    return _told(work, work.state())


def _world() -> World:
    settings = read_settings()
    return world_of(settings, prefect_url=served_address(settings.home) or "")


def _facts(given: Sequence[str]) -> dict[str, Said]:
    found: dict[str, Said] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier():
            raise InvalidInputError(f"--fact {text!r} is no name=value, for example leaked=true")
        found[name] = {"true": True, "false": False}.get(value.casefold(), value)
    return found


def _told(work: Following, state: CaseState) -> Answer:
    now = datetime.now(UTC)
    late = {step.id for step in state.late(now)}
    rows = [_row(state, step.id, late) for step in work.playbook.steps]
    clocks = _clocks(work, now)
    document = {
        "case": work.name,
        "playbook": work.playbook.id,
        "incident": work.incident.model_dump(mode="json"),
        "dry_run": work.log.head.dry_run,
        "closed": state.closed,
        "steps": rows,
        "clocks": clocks,
        "timeline": [event.model_dump(mode="json") for event in state.events],
    }
    lines = [
        f"{work.name}: {work.playbook.title}{' (dry run)' if work.log.head.dry_run else ''}",
        "",
    ]
    lines += [_line(row) for row in rows]
    lines += ["", *(clock["told"] for clock in clocks)] if clocks else []
    lines += ["", *_next(work, state)]
    return Answer(document, lines, EXIT_OK if state.closed else EXIT_UNDECIDED)


def _row(state: CaseState, step_id: str, late: set[str]) -> dict[str, Any]:
    step = state.playbook.step(step_id)
    last, due = state.last(step), state.due(step)
    return {
        "step": step.id,
        "phase": step.phase.value,
        "role": step.role,
        "kind": step.kind,
        "title": step.title,
        "standing": state.standing(step).value,
        "detail": last.detail if last else "",
        "by": last.by if last else "",
        "due": due.isoformat() if due else None,
        "late": step.id in late,
        "evidence": list(last.evidence) if last else [],
    }


def _line(row: dict[str, Any]) -> str:
    mark = _MARK[Standing(row["standing"])]
    who = f" {row['role']}" if row["standing"] == "ready" else ""
    late = "  LATE" if row["late"] else ""
    detail = f"\n{'':>26}{row['detail']}" if row["detail"] else ""
    return f"  {row['phase']:<14} {mark + who:<26} {row['title']} ({row['step']}){late}{detail}"


def _clocks(work: Following, now: datetime) -> list[dict[str, Any]]:
    rows = []
    for name in work.playbook.clocks:
        clock = Catalog().clock(name)
        runs = work.state().value(f"incident.{clock.fact}")
        start = work.incident.detected if clock.starts == "detection" else work.incident.aware
        due = start + timedelta(hours=clock.hours) if start else None
        rows.append(
            {"clock": name, "law": clock.law, "to": clock.to, "runs": runs,
             "due": due.isoformat() if due else None,
             "told": _clock_line(clock, runs, due, now)}
        )  # fmt: skip
    return rows


def _clock_line(clock: ClockEntry, runs: Said | None, due: datetime | None, now: datetime) -> str:
    if runs is False:
        return f"  clock  {clock.law}: does not run ({clock.fact} is false)"
    if due is None:
        return f"  clock  {clock.law}: starts when the incident file says since when you are aware"
    unsaid = f"MAY RUN: nobody said {clock.fact} (--fact {clock.fact}=true or false)"
    left = due - now
    when = f"{left.days * 24 + left.seconds // 3600} h left" if left > timedelta(0) else "PAST"
    return (
        f"  clock  {clock.law}: {'runs' if runs else unsaid}; "
        f"tell the {clock.to} by {due:%Y-%m-%d %H:%M} UTC ({when})"
    )


def _summary(state: CaseState) -> str:
    if state.closed:
        return "closed"
    waiting = [step.id for step in state.to_do()]
    return f"open, to do: {', '.join(waiting) or 'nothing now'}"


def _next(work: Following, state: CaseState) -> list[str]:
    if state.closed:
        return ["closed: every step is done or skipped"]
    told = []
    for step in state.to_do():
        if step.kind == "gate":
            assert step.gate is not None, "a gate has a question"
            told.append(
                f"{step.gate.question}  proofhouse approve step {work.name} {step.id} "
                "--reason '…' --expires 7d [--deny]"
            )
        elif step.kind == "manual":
            told.append(f"{step.role}: {step.instruction.strip()}  (then: --done {step.id})")
        else:
            told.append(f"{step.id} failed; resume the case when what it needs is there")
    unknown = [one for one in work.playbook.steps if state.standing(one) is Standing.UNKNOWN]
    told += [
        f"{one.id} needs to know {one.when.value}: --fact {one.when.value.partition('.')[2]}=…"
        for one in unknown
        if one.when
    ]
    return told
