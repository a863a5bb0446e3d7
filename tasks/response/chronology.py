"""The moments of a case that law and people ask for, and its timeline in lines."""

from collections.abc import Iterator
from datetime import UTC, datetime

from tasks.domain.case import CaseEvent
from tasks.response.case_state import CaseState

_SHORT = 160


def moments(state: CaseState) -> dict[str, str | None]:
    """Returns when it was detected, when the enterprise was aware, when it was confirmed."""
    return {
        "detected": state.incident.detected.isoformat(),
        "aware": state.aware.isoformat() if state.aware else None,
        "confirmed": state.declared.isoformat() if state.declared else None,
    }


def moment_rows(state: CaseState) -> tuple[tuple[str, str], ...]:
    """Returns the same by name, in words; what has not come says what it waits for."""
    declare = state.playbook.declaring.id
    return (
        ("detected", _at(state.incident.detected)),
        ("aware", _at(state.aware) if state.aware else "nobody said since when"),
        ("confirmed", _at(state.declared) if state.declared else f"not yet (step {declare})"),
    )


def moment_lines(state: CaseState) -> list[str]:
    """Returns the same as lines of a terminal."""
    return [f"  {name:<9}  {told}" for name, told in moment_rows(state)]


def timeline_lines(state: CaseState) -> list[str]:
    """Returns the timeline, the three moments among its events, in order of time."""
    rows = [(state.incident.detected, f"DETECTED by {state.incident.reported_by}")]
    if state.aware:
        rows.append((state.aware, "AWARE: clocks of awareness count from here"))
    if state.declared:
        rows.append((state.declared, "CONFIRMED: clocks of confirmation count from here"))
    rows += [(event.at, line) for event in state.events for line in _lines(event)]
    return [f"  {_at(at)}  {line}" for at, line in sorted(rows, key=lambda row: row[0])]


def _lines(event: CaseEvent) -> Iterator[str]:
    what = f"{event.step} {event.ending or event.kind}" if event.step else str(event.kind)
    said = ", ".join(f"{name}={value}" for name, value in event.said.items())
    told = "; ".join(part for part in (said, " ".join(event.detail.split())) if part)
    yield f"{what}, by {event.by}" + (f": {told[:_SHORT]}" if told else "")


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
