"""A case in words and as a document: steps, deadlines, legal clocks, whom it waits for."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tasks.catalog.playbooks import ClockEntry
from tasks.catalog.reading import Catalog
from tasks.domain.case import Said
from tasks.response.case_state import CaseState, Standing
from tasks.response.following import Following

_MARK = {
    Standing.DONE: "done", Standing.SKIPPED: "skipped", Standing.FAILED: "FAILED",
    Standing.DENIED: "DENIED", Standing.UNDONE: "undone", Standing.READY: "waits for",
    Standing.RUNNING: "running", Standing.WAITING: "later", Standing.UNKNOWN: "needs to know",
}  # fmt: skip


def case_document(work: Following, state: CaseState) -> dict[str, Any]:
    """Returns the case as JSON values."""
    now = datetime.now(UTC)
    late = {step.id for step in state.late(now)}
    return {
        "case": work.name,
        "playbook": work.playbook.id,
        "incident": work.incident.model_dump(mode="json"),
        "dry_run": work.log.head.dry_run,
        "closed": state.closed,
        "steps": [_row(state, step.id, late) for step in work.playbook.steps],
        "clocks": _clocks(work, state, now),
        "timeline": [event.model_dump(mode="json") for event in state.events],
    }


def case_lines(work: Following, state: CaseState) -> list[str]:
    """Returns the case as lines for people."""
    document = case_document(work, state)
    dry = " (dry run)" if document["dry_run"] else ""
    lines = [f"{work.name}: {work.playbook.title}{dry}", ""]
    lines += [_line(row) for row in document["steps"]]
    clocks = [clock["told"] for clock in document["clocks"]]
    lines += ["", *clocks] if clocks else []
    return [*lines, "", *_next(work, state)]


def summary(state: CaseState) -> str:
    """Returns where the case stands in one sentence."""
    if state.closed:
        return "closed"
    waiting = [step.id for step in state.to_do()]
    return f"open, to do: {', '.join(waiting) or 'nothing now'}"


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


def _clocks(work: Following, state: CaseState, now: datetime) -> list[dict[str, Any]]:
    rows = []
    for name in work.playbook.clocks:
        clock = Catalog().clock(name)
        runs = state.value(f"incident.{clock.fact}")
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


def _next(work: Following, state: CaseState) -> list[str]:
    if state.closed:
        return ["closed: every step is done, undone or skipped"]
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
    told += [
        f"{one.id} needs to know {one.when.value}: --fact {one.when.value.partition('.')[2]}=…"
        for one in state.unknown()
        if one.when
    ]
    return told
