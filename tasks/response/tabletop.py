"""Scoring a tabletop drill: decisions, order, time to declare, contain and notify, missed duties.

A pure function of the drill's entry and the answers, so a rehearsal can be scored again by anyone.
"""

import re
import unicodedata
from collections.abc import Iterator
from datetime import timedelta
from itertools import combinations

from tasks.catalog.drills import Decision, DrillEntry
from tasks.catalog.playbooks import PlaybookEntry
from tasks.catalog.reading import entry_digest
from tasks.domain.digest import digest_of
from tasks.domain.drill import Answers, DrillResult, Improvement, Milestoned, PlayerAnswer, Scored
from tasks.domain.errors import InvalidInputError

LATE = 0.5
"""What a good answer is worth when it comes too late."""
GOOD_ENOUGH = 0.99
REACHED = 0.5
"""Share of an answer from which it reaches its milestone: watching is not containing."""
HIGH_DAYS, MEDIUM_DAYS = 14, 45
_GAPS = re.compile(r"[\W_]+")


def score(drill: DrillEntry, playbook: PlaybookEntry, answers: Answers) -> DrillResult:
    """Scores one rehearsal.

    Raises:
        InvalidInputError: The answers are not to this drill, or to questions not yet asked.
    """
    _verify_fits(drill, answers)
    scored = tuple(_scored(drill, one, answers.answers.get(one.id)) for one in drill.decisions)
    weights = sum(one.weight for one in scored)
    return DrillResult(
        drill=drill.id,
        version=drill.version,
        entry=entry_digest(drill),
        answers=digest_of(answers.canonical()),
        team=answers.team,
        held=answers.held,
        score=sum(one.weight * one.worth for one in scored) / weights,
        order=_order(drill, playbook, scored),
        decisions=scored,
        milestones=tuple(
            Milestoned(
                name=decision.milestone, at=one.at if one.share >= REACHED else None, due=one.due
            )
            for decision, one in zip(drill.decisions, scored, strict=True)
            if decision.milestone
        ),
        improvements=tuple(_improvements(drill, answers, scored)),
    )


def _verify_fits(drill: DrillEntry, answers: Answers) -> None:
    if answers.drill != drill.id:
        raise InvalidInputError(f"the answers are to {answers.drill}, the drill is {drill.id}")
    known = {one.id: one for one in drill.decisions}
    problems = [f"no decision is called {name}" for name in answers.answers if name not in known]
    for name, given in answers.answers.items():
        if (decision := known.get(name)) is None:
            continue
        asked = drill.inject(decision.after).at_minutes
        if given.at_minutes < asked:
            problems.append(f"{name} was answered at {given.at_minutes:g}, asked at {asked:g}")
        if decision.kind == "yes_no" and not isinstance(given.answer, bool):
            problems.append(f"{name} is answered by true or false, not {given.answer!r}")
        if decision.kind == "choice" and given.answer not in decision.choices:
            choices = "; ".join(decision.choices)
            problems.append(f"{name} is answered by one of: {choices}")
    if problems:
        raise InvalidInputError("the answers do not fit: " + ". ".join(problems))


def _scored(drill: DrillEntry, decision: Decision, given: PlayerAnswer | None) -> Scored:
    asked, due = drill.inject(decision.after).at_minutes, drill.due(decision)
    share, said = (0.0, "nobody answered") if given is None else _share(decision, given)
    late = given is not None and given.at_minutes > due
    return Scored(
        decision=decision.id,
        role=decision.role,
        question=decision.question,
        weight=decision.weight,
        given="" if given is None else _told(given.answer),
        by="" if given is None else given.by,
        share=share,
        asked=asked,
        due=due,
        at=None if given is None else given.at_minutes,
        worth=share * LATE if late else share,
        said=f"{said}; it came {given.at_minutes - due:g} min late" if late and given else said,
    )


def _share(decision: Decision, given: PlayerAnswer) -> tuple[float, str]:
    if decision.kind == "text":
        return _mentioned(decision, str(given.answer))
    for good in decision.good:
        if good.answer == given.answer:
            return good.share, good.why
    best = next(good for good in decision.good if good.share == 1)
    return 0.0, f"expected: {_told(best.answer)}. {best.why}"


def _mentioned(decision: Decision, text: str) -> tuple[float, str]:
    """Judges words by what they mention; spellings are compared as plain words."""
    plain = f" {_plain(text)} "
    missing = [
        spellings[0]
        for spellings in decision.mentions
        if not any(f" {_plain(each)} " in plain for each in spellings)
    ]
    share = 1 - len(missing) / len(decision.mentions)
    return share, f"not mentioned: {', '.join(missing)}" if missing else "everything is mentioned"


def _plain(text: str) -> str:
    return _GAPS.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def _told(answer: object) -> str:
    return (
        {True: "yes", False: "no"}.get(answer, str(answer))
        if isinstance(answer, bool)
        else (str(answer))
    )


def _order(drill: DrillEntry, playbook: PlaybookEntry, scored: tuple[Scored, ...]) -> float | None:
    places = {step.id: place for place, step in enumerate(playbook.steps)}
    made = [
        (places[decision.step], one.at)
        for decision, one in zip(drill.decisions, scored, strict=True)
        if decision.step in places and one.at is not None
    ]
    pairs = [
        (first, second) for first, second in combinations(sorted(made), 2) if first[0] != second[0]
    ]
    if not pairs:
        return None
    return sum(first[1] <= second[1] for first, second in pairs) / len(pairs)


def _improvements(
    drill: DrillEntry, answers: Answers, scored: tuple[Scored, ...]
) -> Iterator[Improvement]:
    for decision, one in zip(drill.decisions, scored, strict=True):
        if one.worth >= GOOD_ENOUGH:
            continue
        high = decision.milestone is not None or one.worth == 0
        days = timedelta(days=HIGH_DAYS if high else MEDIUM_DAYS)
        yield Improvement(
            drill=drill.id,
            decision=decision.id,
            lesson=decision.lesson,
            owner=answers.players.get(decision.role) or drill.roles[decision.role],
            due=(answers.held + days).date(),
            severity="high" if high else "medium",
        )
