"""Playing a drill at a terminal: injects on a clock, questions to the players, answers kept.

The clock may run faster than the day: at a factor of 30, two minutes at the table are an hour of
the story. What is played is written down as an answers file, so a session can be scored again.
"""

from collections.abc import Callable
from typing import NamedTuple

from tasks.catalog.drills import Decision, DrillEntry, Inject
from tasks.domain.drill import Given, PlayerAnswer

Say = Callable[[str], None]
Ask = Callable[[str], str]
SKIP = ""


class Table(NamedTuple):
    """Where a drill is played: a clock in seconds, a way to wait, to speak and to ask."""

    seconds: Callable[[], float]
    wait: Callable[[float], None]
    say: Say
    ask: Ask


def play(drill: DrillEntry, table: Table, *, faster: float = 1) -> dict[str, PlayerAnswer]:
    """Plays a drill and returns what was answered, when on its clock.

    Args:
        drill: The scenario.
        table: Clock and voice.
        faster: Minutes of the story in one minute at the table.
    """
    started = table.seconds()

    def minute() -> float:
        return (table.seconds() - started) / 60 * faster

    answers: dict[str, PlayerAnswer] = {}
    table.say(f"{drill.title}\n\n{drill.scenario}\n")
    for inject in drill.injects:
        ahead = inject.at_minutes - minute()
        if ahead > 0:
            table.say(f"… {ahead:.0f} min of the story pass")
            table.wait(ahead * 60 / faster)
        table.say(_told(drill, inject))
        for decision in (one for one in drill.decisions if one.after == inject.id):
            given = _asked(drill, decision, table)
            if given is not None:
                at = max(minute(), inject.at_minutes)
                answers[decision.id] = PlayerAnswer(answer=given, at_minutes=round(at, 2))
    return answers


def _told(drill: DrillEntry, inject: Inject) -> str:
    roles = ", ".join(drill.roles[role] for role in inject.to)
    return f"\n[minute {inject.at_minutes:g}] to {roles}:\n{inject.text}\n"


def _asked(drill: DrillEntry, decision: Decision, table: Table) -> Given | None:
    """Asks until the answer has the right form; an empty line leaves the question open."""
    prompt = f"{drill.roles[decision.role]}: {decision.question}"
    if decision.kind == "choice":
        listed = "\n".join(f"  {number}. {each}" for number, each in enumerate(decision.choices, 1))
        prompt = f"{prompt}\n{listed}"
    hint = {"choice": "number", "yes_no": "yes or no", "text": "in words"}[decision.kind]
    while (said := table.ask(f"{prompt}\n({hint}; empty to pass) ").strip()) != SKIP:
        if decision.kind == "text":
            return said
        if decision.kind == "yes_no" and said.casefold() in {"y", "yes", "n", "no"}:
            return said.casefold().startswith("y")
        if (
            decision.kind == "choice"
            and said.isdecimal()
            and 1 <= int(said) <= len(decision.choices)
        ):
            return decision.choices[int(said) - 1]
        table.say(f"{said!r} is no answer here.")
    return None
