"""When a legal clock starts and what it says now: pure functions of a case and a duty.

Detection is when a monitor or a person saw it first, awareness when the enterprise knew that it was
an incident, confirmation when it was declared. Whoever declares is aware, at the latest then.
"""

from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from tasks.catalog.playbooks import ClockEntry
from tasks.response.case_state import CaseState

Standing = Literal["does_not_run", "not_started", "may_run", "runs", "past"]
_SINCE = {"awareness": "you are aware", "confirmation": "the incident is declared",
          "detection": "it was detected"}  # fmt: skip


class Reading(NamedTuple):
    """One clock of a case at one moment; ``start`` and ``due`` are None until it starts."""

    clock: ClockEntry
    standing: Standing
    start: datetime | None
    due: datetime | None
    told: str


def read_clock(state: CaseState, clock: ClockEntry, now: datetime) -> Reading:
    """Reads a clock.

    ``past`` is told of clocks that run, and of those that may: nobody should find out afterwards.
    """
    runs = state.value(f"incident.{clock.fact}")
    start = start_of(state, clock)
    due = start + timedelta(hours=clock.hours) if start else None
    if runs is False:
        told = f"does not run ({clock.fact} is false)"
        return Reading(clock, "does_not_run", None, None, told)
    if due is None:
        return Reading(clock, "not_started", None, None, _not_started(state, clock))
    unsaid = f"MAY RUN: nobody said {clock.fact} (--fact {clock.fact}=true or false)"
    left = due - now
    when = f"{left.days * 24 + left.seconds // 3600} h left" if left > timedelta(0) else "PAST"
    standing: Standing = "past" if when == "PAST" else "runs" if runs else "may_run"
    told = (
        f"{'runs' if runs else unsaid}, since {_SINCE[clock.starts]}; "
        f"tell the {clock.to} by {due:%Y-%m-%d %H:%M} UTC ({when})"
    )
    return Reading(clock, standing, start, due, told)


def start_of(state: CaseState, clock: ClockEntry) -> datetime | None:
    """Returns the moment from which a clock counts; None while it has not come.

    A duty that counts from confirmation counts from a determination ("it is major", "it is
    material"), which is the clock's fact: from the declaration, or from the moment at which the
    fact was said if that came later. While nobody has said it, from the declaration.
    """
    if clock.starts == "detection":
        return state.incident.detected
    if clock.starts == "awareness":
        return state.aware
    declared = state.declared
    determined = state.said_at(clock.fact)
    return max(declared, determined) if declared and determined else declared


def _not_started(state: CaseState, clock: ClockEntry) -> str:
    declare = state.playbook.declaring.id
    if clock.starts == "confirmation":
        return f"not started: counts from the moment at which it is declared (--done {declare})"
    return (
        "not started: counts from the moment since when you are aware "
        f"(--fact aware=2026-01-31T07:05:00Z, or --done {declare})"
    )
