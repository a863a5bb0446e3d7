"""A case in words and as a document: steps, deadlines, legal clocks, whom it waits for."""

from datetime import UTC, datetime
from typing import Any

from tasks.catalog.reading import Catalog
from tasks.response.case_state import CaseState, Standing
from tasks.response.chronology import moment_lines, moment_rows, moments
from tasks.response.clocks import read_clock
from tasks.response.following import Following
from tasks.response.wording import plain

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
        "moments": moments(state),
        "steps": [_row(state, step.id, late) for step in work.playbook.steps],
        "clocks": _clocks(state, now),
        "timeline": [event.model_dump(mode="json") for event in state.events],
    }


def case_lines(work: Following, state: CaseState) -> list[str]:
    """Returns the case as lines for people."""
    document = case_document(work, state)
    dry = " (dry run)" if document["dry_run"] else ""
    lines = [f"{work.name}: {work.playbook.title}{dry}", "", *moment_lines(state), ""]
    lines += [_line(row) for row in document["steps"]]
    clocks = [clock["told"] for clock in document["clocks"]]
    lines += ["", *clocks] if clocks else []
    return [*lines, "", *_next(work, state)]


def asked_of_people(work: Following, state: CaseState) -> str:
    """Returns, as Markdown above a form, what the case is and what each person is to do now."""
    lines = [
        f"## {plain(work.playbook.title)}",
        f"{plain(work.incident.title)} ({work.name})",
        "\n".join(f"- {name}: {plain(told)}" for name, told in moment_rows(state)),
    ]
    for step in state.to_do():
        if step.kind == "manual":
            role = plain(work.playbook.roles[step.role].title)
            lines.append(
                f"**{role}: {plain(step.title)}** (`{step.id}`)  \n{plain(step.instruction)}"
            )
        elif step.gate is not None:
            how = f"`proofhouse approve step {work.name} {step.id} --reason …`"
            lines.append(f"**{plain(step.gate.question)}** Approve or deny signed: {how}")
    facts = sorted({one.when.value.partition(".")[2] for one in state.unknown() if one.when})
    if facts:
        named = ", ".join(f"`{fact}`" for fact in facts)
        lines.append(f"Steps wait for facts, each true or false: {named}")
    return "\n\n".join(lines)


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


def _clocks(state: CaseState, now: datetime) -> list[dict[str, Any]]:
    found = [read_clock(state, Catalog().clock(name), now) for name in state.playbook.clocks]
    return [
        {
            "clock": one.clock.id,
            "law": one.clock.law,
            "to": one.clock.to,
            "runs": state.value(f"incident.{one.clock.fact}"),
            "standing": one.standing,
            "starts": one.clock.starts,
            "start": one.start.isoformat() if one.start else None,
            "due": one.due.isoformat() if one.due else None,
            "told": f"  clock  {one.clock.law}: {one.told}",
        }
        for one in found
    ]


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
