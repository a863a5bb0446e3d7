"""``proofhouse drill`` and ``drills``: tabletop exercises, scored, and what they taught."""

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
from tasks.response.playing import Table, play
from tasks.response.rehearsals import Closing, close_item, items
from tasks.response.rehearsing.concluding import conclude, result_lines
from tasks.settings import read_settings


def drill_answer(
    name: str, answers: Path | None, *, faster: float, team: str, out: Path | None
) -> Answer:
    """Plays a drill at this terminal, or scores an answers file; keeps and reports the result."""
    drill = Catalog().drill(name)
    given = (
        read_document(answers, Answers, what="answers")
        if answers
        else _played(drill.id, faster, team)
    )
    concluded = conclude(
        drill, Catalog().playbook(drill.playbook), given, world_of(read_settings()), out=out
    )
    code = EXIT_OK if concluded.passed else EXIT_REFUSED
    return Answer(concluded.document, result_lines(concluded), code)


def list_answer() -> Answer:
    """Lists the drills of the catalog."""
    catalog = Catalog()
    drills = [catalog.drill(name) for name in catalog.ids("drills")]
    rows = [
        {"drill": one.id, "title": one.title, "playbook": one.playbook, "minutes": one.minutes,
         "decisions": len(one.decisions), "controls": list(one.controls)}
        for one in drills
    ]  # fmt: skip
    lines = [f"{row['drill']}  {row['minutes']:g} min  {row['title']}" for row in rows]
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


def _say(text: str) -> None:
    sys.stderr.write(visible(text) + "\n")
    sys.stderr.flush()
