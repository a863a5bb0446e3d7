"""What players see of a drill in the orchestrator: the story so far, and each question's words.

Markdown for the orchestrator's pages. Drills come from the catalog and answers from players, so
both are text and never markup: what could be read as such is escaped.
"""

from collections.abc import Iterator

from tasks.catalog.drills import Decision, DrillEntry, Inject
from tasks.response.rehearsing.sessions import Begun, Session
from tasks.response.wording import plain


def told_so_far(drill: DrillEntry, session: Session, begun: Begun, upto: Inject) -> str:
    """Returns the story up to an inject, with what was answered in between."""
    lines = [f"# {plain(drill.title)}", plain(drill.scenario), _clock(begun)]
    for inject in drill.injects[: drill.injects.index(upto) + 1]:
        lines += [*_inject(drill, inject), *_answers(drill, session, inject)]
    return "\n\n".join(lines)


def question(drill: DrillEntry, decision: Decision) -> str:
    """Returns what stands above the form of a question: what happened, who is asked, until when."""
    role, due = plain(drill.roles[decision.role]), drill.due(decision)
    asked = f"**{role}, by minute {due:g}: {plain(decision.question)}**"
    return "\n\n".join([*_inject(drill, drill.inject(decision.after)), asked])


def opening(drill: DrillEntry, faster: float) -> str:
    """Returns what stands above the form that starts the clock."""
    pace = "runs as in life" if faster == 1 else f"runs {faster:g} times faster than life"
    minutes = max(1, round(drill.minutes / faster))
    told = (
        f"The story lasts {drill.minutes:g} minutes and {pace}: about {minutes} "
        "minutes at the table. Its clock starts when this form is sent, so wait until everybody is "
        "here."
    )
    return "\n\n".join([f"## {plain(drill.title)}", plain(drill.scenario), told])


def _clock(begun: Begun) -> str:
    return f"*Team {plain(begun.team)}; minute 0 was {begun.at:%Y-%m-%d %H:%M:%S} UTC.*"


def _inject(drill: DrillEntry, inject: Inject) -> Iterator[str]:
    roles = ", ".join(plain(drill.roles[role]) for role in inject.to)
    yield f"### Minute {inject.at_minutes:g}, to {roles}"
    yield plain(inject.text)


def _answers(drill: DrillEntry, session: Session, inject: Inject) -> Iterator[str]:
    for decision in drill.decisions:
        given = session.given(decision) if decision.after == inject.id else None
        if given is None:
            continue
        answer = given.answer
        said = "left open" if answer is None else _said(answer.answer, answer.at_minutes, answer.by)
        yield f"> {plain(decision.question)} **{said}**"


def _said(answer: object, minute: float, by: str) -> str:
    words = {True: "yes", False: "no"}.get(answer) if isinstance(answer, bool) else str(answer)
    return f"{plain(str(words))} (minute {minute:g}{f', {plain(by)}' if by else ''})"
