"""``proofhouse drill`` and ``drills``: tabletop and live-fire, scored, and what they taught."""

import getpass
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from tasks.answering import EXIT_OK, EXIT_REFUSED, Answer
from tasks.casework import read_document, world_of
from tasks.catalog.reading import Catalog
from tasks.commands.wording import visible
from tasks.domain.drill import Answers
from tasks.domain.errors import InvalidInputError
from tasks.domain.live_drill import LiveResult
from tasks.response.after_action import render_live_fire
from tasks.response.live.comparing import compared
from tasks.response.playing import Table, play
from tasks.response.rehearsals import Closing, close_item, items
from tasks.response.rehearsing.concluding import conclude, result_lines
from tasks.settings import read_settings

FASTER = 10.0
"""Story minutes in a minute at the table, when nobody says otherwise."""


def drill_answer(
    name: str, answers: Path | None, *, faster: float | None, team: str, out: Path | None
) -> Answer:
    """Holds a drill of either kind; keeps the result and writes the report.

    A tabletop drill is played at this terminal, or scored from an answers file. A live-fire drill
    plays itself.
    """
    if _is_live(name):
        if answers is not None:
            raise InvalidInputError(
                f"{name} is a live-fire drill: nobody is asked, so no --answers."
            )
        return live_answer(name, faster=faster, team=team, out=out)
    drill = Catalog().drill(name)
    given = (
        read_document(answers, Answers, what="answers")
        if answers
        else _played(drill.id, faster or FASTER, team)
    )
    concluded = conclude(
        drill, Catalog().playbook(drill.playbook), given, world_of(read_settings()), out=out
    )
    code = EXIT_OK if concluded.passed else EXIT_REFUSED
    return Answer(concluded.document, result_lines(concluded), code)


def live_answer(name: str, *, faster: float | None, team: str, out: Path | None) -> Answer:
    """Holds a live-fire drill, with progress on stderr."""
    from tasks.drilling import live_fire  # noqa: PLC0415 - gateway and torch: only who fires pays

    held = live_fire(name, faster=faster, team=team, say=_say)
    result, home = held.result, read_settings().home.resolve()
    report = render_live_fire(held.entry, result, statement=held.statement, before=held.before)
    place = _written(report, out or home / "drills", result.name)
    document = result.model_dump(mode="json") | {
        "name": result.name,
        "score": result.score,
        "contained": result.contained,
        "passed": result.passed,
        "compared": [row._asdict() for row in compared(held.before, result)],
        "evidence": {"statement": held.statement, **result.evidence},
        "report": str(place),
    }
    code = EXIT_OK if result.passed else EXIT_REFUSED
    return Answer(document, _live_lines(held.before, result, place), code)


def list_answer() -> Answer:
    """Lists the drills of the catalog, of both kinds."""
    catalog = Catalog()
    drills = [catalog.drill(name) for name in catalog.ids("drills")]
    rows: list[dict[str, Any]] = [
        {"drill": one.id, "kind": "tabletop", "title": one.title, "playbook": one.playbook,
         "minutes": one.minutes, "decisions": len(one.decisions), "controls": list(one.controls)}
        for one in drills
    ]  # fmt: skip
    lines = [f"{row['drill']}  {row['minutes']:g} min  {row['title']}" for row in rows]
    for name in catalog.ids("live_drills"):
        live = catalog.live_drill(name)
        rows.append(
            {"drill": live.id, "kind": "live", "title": live.title, "playbook": live.playbook,
             "attack": live.attack.name, "controls": list(live.controls)}
        )  # fmt: skip
        lines.append(f"{live.id}  live fire  {live.title}")
    return Answer({"drills": rows}, lines)


def items_answer() -> Answer:
    """Lists what drills taught, the open ones first."""
    now = datetime.now(UTC)
    found = sorted(items(world_of(read_settings()).store), key=lambda one: one.improvement.due)
    rows: list[dict[str, Any]] = [
        one.improvement.model_dump(mode="json")
        | {
            "item": one.improvement.name,
            "closed": one.closing.model_dump(mode="json") if one.closing else None,
            "overdue": one.overdue(now),
        }
        for one in found
    ]
    rows.sort(key=lambda row: row["closed"] is not None)
    lines = [
        f"{row['item']}  {'closed' if row['closed'] else 'OVERDUE' if row['overdue'] else 'open'}  "
        f"{row['due']}  {row['owner']}: {row['lesson'].strip()}"
        for row in rows
    ]
    overdue = any(row["overdue"] for row in rows)
    return Answer({"items": rows}, lines or ["no items"], EXIT_REFUSED if overdue else EXIT_OK)


def close_answer(item: str, *, reason: str, by: str) -> Answer:
    """Closes an improvement item."""
    if not reason.strip():
        raise InvalidInputError("--reason is empty. Say what was changed.")
    now = datetime.now(UTC).replace(microsecond=0)
    closing = Closing(by=by.strip() or getpass.getuser(), reason=reason, at=now)
    closed = close_item(world_of(read_settings()).store, item, closing)
    document = closed.improvement.model_dump(mode="json") | {
        "item": item,
        "closed": closing.model_dump(mode="json"),
    }
    return Answer(document, [f"{item} closed by {closing.by}"])


def _played(name: str, faster: float, team: str) -> Answers:
    if not sys.stdin.isatty():
        raise InvalidInputError(
            "A drill without --answers is played at a terminal, and this is none. Give the "
            f"players' answers in a file: proofhouse drill {name} --answers answers.yaml"
        )
    table = Table(time.monotonic, time.sleep, _say, input)
    held = datetime.now(UTC).replace(microsecond=0)
    given = play(Catalog().drill(name), table, faster=faster)
    answers = Answers(
        schema_="proofhouse.answers/1", drill=name, team=team, held=held, answers=given
    )
    kept = read_settings().home / "drills" / f"answers-{held:%Y%m%dT%H%M%SZ}.yaml"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(yaml.safe_dump(answers.model_dump(mode="json"), sort_keys=False))
    _say(f"answers kept: {kept}")
    return answers


def _is_live(name: str) -> bool:
    ids = Catalog().ids("live_drills")
    return name in ids or name in {each.rpartition(".")[2] for each in ids}


def _written(report: str, folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{name}.html"
    place.write_text(report, encoding="utf-8")
    return place


def _live_lines(before: LiveResult | None, result: LiveResult, place: Path) -> list[str]:
    word = "passed" if result.passed else "contained" if result.contained else "NOT CONTAINED"
    lines = [f"{result.drill}: {word} ({result.team})"]
    lines += [
        f"  {'held  ' if one.held else 'MISSED'}  {one.name}: {one.said}"
        for one in result.objectives
    ]
    lines += [
        f"  {row.name}: {row.before} the last time, {row.now} now"
        for row in compared(before, result)
    ]
    lines += [f"  improve  {one.name}  {one.due}  {one.owner}: {one.lesson.strip()}"
              for one in result.improvements]  # fmt: skip
    return [*lines, f"report: {place}"]


def _say(text: str) -> None:
    sys.stderr.write(visible(text) + "\n")
    sys.stderr.flush()
