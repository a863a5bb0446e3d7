"""This time beside the last time: the numbers of two results of one drill."""

from collections.abc import Callable
from typing import NamedTuple

from tasks.domain.live_drill import LiveResult

NEVER = "never"


class Compared(NamedTuple):
    """One number, before and now, and what became of it."""

    name: str
    before: str
    now: str
    change: str


Number = Callable[[LiveResult], float | None]
_NUMBERS: tuple[tuple[str, Number], ...] = (
    ("seconds to detect", lambda one: one.seconds_to_detect),
    ("seconds from detection to containment", lambda one: one.seconds_to_contain),
    ("leaked queries", lambda one: one.leaked_queries),
    ("fidelity of a copy", lambda one: one.fidelity.value if one.fidelity else None),
    ("honest requests refused", lambda one: one.benign_refused),
    ("objectives missed", lambda one: sum(not each.held for each in one.objectives)),
)
"""Of all of them, less is better."""


def compared(before: LiveResult | None, now: LiveResult) -> tuple[Compared, ...]:
    """Returns every number that either result has; nothing where there is no earlier one."""
    if before is None:
        return ()
    rows = ((name, number(before), number(now)) for name, number in _NUMBERS)
    return tuple(
        Compared(name, _shown(old), _shown(new), _change(old, new))
        for name, old, new in rows
        if not (old is None and new is None)
    )


def same_terms(before: LiveResult | None, now: LiveResult) -> bool:
    """Answers whether both are of one entry, one playbook and one pace."""
    return before is not None and (before.entry, before.playbook, before.faster) == (
        now.entry, now.playbook, now.faster,
    )  # fmt: skip


def _shown(value: float | None) -> str:
    return NEVER if value is None else f"{value:.3g}"


def _change(old: float | None, new: float | None) -> str:
    if old is None:
        return "now there is one"
    if new is None:
        return "now there is none"
    if old == new:
        return "as before"
    return f"{'better' if new < old else 'worse'} by {abs(new - old):.3g}"
