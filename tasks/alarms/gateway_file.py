"""From a gateway's ``alarms.jsonl`` to kept alarms: at least once each, with a kept position.

A gateway needs no orchestrator: it appends a line and goes on. The position is moved only after
every line before it is in the store, so a crash reads lines again; what is known already stays what
it was. A last line without an end is still being written and is left for the next time.
"""

import json
import logging
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import NamedTuple

from pydantic import AwareDatetime, Field, ValidationError

from tasks.alarms.outbox import keep_alarm, known_alarm
from tasks.domain.alarm import Alarm, Trigger
from tasks.domain.digest import digest_of
from tasks.domain.errors import InvalidInputError
from tasks.domain.frozen import Frozen
from tasks.gateway.actions import gateway_folder
from tasks.gateway.keys import replace_file
from tasks.gateway.trails import WEEK_SECONDS
from tasks.store.protocol import ObjectStore

FILE, POSITION = "alarms.jsonl", "alarms.position.json"
QUOTA = "quota"
_LINE_BYTES = 1 << 16
_log = logging.getLogger(__name__)


class Line(Frozen):
    """A line of the file. Gateways of before wrote no asset."""

    at: AwareDatetime
    account: str = Field(min_length=1, max_length=300)
    monitor: str = Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")
    score: float
    threshold: float
    queries: int
    asset: str = Field(default="", max_length=600)


class Position(Frozen):
    """How far a file was read; ``head`` is the digest of its first line, to know it again."""

    head: str = ""
    offset: int = Field(default=0, ge=0)


class Forwarded(NamedTuple):
    """What a pass found: alarms that are new, known ones, and lines that make no sense."""

    new: tuple[Alarm, ...] = ()
    known: int = 0
    damaged: int = 0


def forward_alarms(home: Path, store: ObjectStore) -> Forwarded:
    """Keeps what a gateway of this home has added to its file since the last time.

    Raises:
        StoreError: The store takes nothing; the position stays, so that nothing is lost.
    """
    folder = gateway_folder(home)
    path, place = folder / FILE, folder / POSITION
    if not path.is_file():
        return Forwarded()
    new: list[Alarm] = []
    known = damaged = 0
    start = _start(path, place)
    end = start.offset
    for raw in _whole_lines(path, start.offset):
        end += len(raw)
        alarm = _alarm(raw)
        if alarm is None:
            damaged += 1
            continue
        if (first := _kept(alarm, raw, store)) is None:
            known += 1
        else:
            new.append(first)
    if end != start.offset or start.offset == 0:
        replace_file(place, Position(head=_head(path), offset=end).canonical())
    return Forwarded(tuple(new), known, damaged)


def _kept(alarm: Alarm, raw: bytes, store: ObjectStore) -> Alarm | None:
    """Keeps an alarm with its line as evidence; None when it was known."""
    try:
        known_alarm(alarm.name, store)
    except InvalidInputError:
        told = alarm.model_copy(update={"evidence": (store.put(raw.strip()).digest,)})
        kept = keep_alarm(told, store)
        return kept.alarm if kept.new else None
    return None


def _alarm(raw: bytes) -> Alarm | None:
    try:
        line = Line.model_validate(json.loads(raw))
    except (ValueError, RecursionError) as error:
        what = "a field" if isinstance(error, ValidationError) else "JSON"
        _log.warning("a line of %s makes no sense (%s) and is skipped", FILE, what)
        return None
    quota = line.monitor == QUOTA
    week = int(line.at.timestamp() // WEEK_SECONDS)
    about = f" about {line.asset}" if line.asset else ""
    return Alarm(
        trigger=Trigger.GATEWAY_QUOTA_ALERT if quota else Trigger.GATEWAY_ALARM,
        kinds=() if quota else (line.monitor,),
        # The gateway watches an account for a week at a time; in the next one it is news again.
        same_as=(line.asset, line.account, line.monitor, f"week {week}"),
        title=_title(line, quota=quota),
        detected=line.at.astimezone(UTC).replace(microsecond=0),
        source=f"gateway monitor {line.monitor}",
        summary=f"score {line.score:.4g}, threshold {line.threshold:.4g}, after {line.queries} "
        f"items{about}",
        asset=line.asset,
        accounts=(line.account,),
    )


def _title(line: Line, *, quota: bool) -> str:
    what = "is near the end of its quota" if quota else "asks as an attacker would"
    return f"Account {line.account[:200]} {what} ({line.monitor})"


def _start(path: Path, place: Path) -> Position:
    """Returns where to go on: at the start when the file is another one, or shorter than it was."""
    try:
        position = Position.parse(place.read_bytes())
    except FileNotFoundError:
        return Position()
    except ValidationError:
        _log.warning("%s is damaged: every line is read again, which repeats nothing", place)
        return Position()
    fits = position.head == _head(path) and path.stat().st_size >= position.offset
    return position if fits else Position()


def _head(path: Path) -> str:
    with path.open("rb") as stream:
        line = stream.readline(_LINE_BYTES)
    return digest_of(line) if line.endswith(b"\n") else ""


def _whole_lines(path: Path, offset: int) -> Iterator[bytes]:
    """Yields lines that end, from an offset on; an endless one in pieces, which are damaged."""
    with path.open("rb") as stream:
        stream.seek(offset)
        while line := stream.readline(_LINE_BYTES):
            if not line.endswith(b"\n") and len(line) < _LINE_BYTES:
                return
            yield line
