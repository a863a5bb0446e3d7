"""What becomes of a drill's answers, wherever they were given: scored, kept signed, reported."""

from pathlib import Path
from typing import Any, NamedTuple

from tasks.catalog.drills import DrillEntry
from tasks.catalog.playbooks import PlaybookEntry
from tasks.domain.drill import Answers, DrillResult
from tasks.response.acting import World
from tasks.response.after_action import render_after_action
from tasks.response.rehearsals import keep_result
from tasks.response.tabletop import score

PASSED = 0.8
"""Score from which a drill counts as passed."""


class Concluded(NamedTuple):
    """A drill that is over: its result, the file of its report, and both as JSON values."""

    result: DrillResult
    report: Path
    document: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether the score reaches :data:`PASSED`."""
        return self.result.score >= PASSED


def conclude(
    drill: DrillEntry, playbook: PlaybookEntry, answers: Answers, world: World, *,
    out: Path | None = None,
) -> Concluded:  # fmt: skip
    """Scores answers, keeps the signed result and its items, writes the report; repeatable.

    Raises:
        InvalidInputError: The answers do not fit the drill.
    """
    result = score(drill, playbook, answers)
    statement = keep_result(result, answers, store=world.store, signer=world.signer())
    place = (out or world.home / "drills") / f"{result.name}.html"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(render_after_action(drill, result), encoding="utf-8")
    document = result.model_dump(mode="json") | {
        "name": result.name,
        "passed": result.score >= PASSED,
        "evidence": {"statement": statement, "answers": result.answers},
        "report": str(place),
    }
    return Concluded(result, place, document)


def result_lines(concluded: Concluded) -> list[str]:
    """Returns the result as lines for people."""
    result = concluded.result
    lines = [f"{result.drill}: {result.score * 100:.0f} of 100 ({result.team})"]
    for one in result.milestones:
        when = "never" if one.at is None else f"after {one.at:g} min"
        lines.append(f"  {one.name:<8} {when} (due by {one.due:g} min)")
    if result.order is not None:
        lines.append(f"  order    {result.order * 100:.0f} % of the playbook's")
    lines += [f"  improve  {one.name}  {one.due}  {one.owner}: {one.lesson.strip()}"
              for one in result.improvements]  # fmt: skip
    return [*lines, f"report: {concluded.report}"]
