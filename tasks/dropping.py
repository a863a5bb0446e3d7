"""Takes drops in, each content once, however often it comes and however many of us are looking.

Claims in the store decide: ``drops/<content>/attempt-N`` is a lease that one process holds,
``drops/<content>/done`` is how it ended. A lease ends when its holder says so, when it runs out, or
when its process is gone; then the next one tries. Onboarding itself is idempotent, so a lease that
ran out too early costs time and never a second run.
"""

import logging
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import AwareDatetime

from tasks.domain.digest import Digest, hexadecimal
from tasks.domain.errors import InvalidInputError, ProofhouseError
from tasks.domain.frozen import Frozen
from tasks.intake.drops import (
    Drop,
    DropPlace,
    FolderPlace,
    Patience,
    content_of,
    waiting_reason,
)
from tasks.settings import read_settings
from tasks.store.protocol import ObjectStore

_log = logging.getLogger(__name__)
DROPS = "drops/"
MARKS = "drop-marks/"
LEASE = timedelta(hours=2)
MOST_DEATHS = 3
Run = Callable[[Path], dict[str, Any]]
"""Onboards what lies at a path; returns the document of the run."""


class Lease(Frozen):
    """Who works on a drop, and until when at the longest."""

    host: str
    pid: int
    began: int
    until: AwareDatetime


class Ended(Frozen):
    """How a drop ended, for good."""

    state: Literal["onboarded", "poison"]
    name: str
    run: str = ""
    verdict: str = ""
    reason: str = ""
    ended: AwareDatetime


class Result(Frozen):
    """What became of one drop in one pass.

    ``known`` means that the same content was taken in before; ``busy`` that somebody else is at it;
    ``failed`` that it may be tried again.
    """

    name: str
    state: Literal["onboarded", "known", "poison", "waiting", "busy", "failed"]
    content: str = ""
    run: str = ""
    verdict: str = ""
    reason: str = ""


class Taking(NamedTuple):
    """Everything that one pass over a place needs."""

    place: DropPlace
    store: ObjectStore
    run: Run
    scratch: Path
    patience: Patience = Patience()
    only: str = ""
    """Name of the one drop to look at; empty for all."""

    def one_pass(self, now: datetime | None = None) -> Iterator[Result]:
        """Yields what becomes of each drop; one that breaks never keeps the next from its turn."""
        for drop in self.place.drops():
            if self.only and drop.name != self.only:
                continue
            moment = now or datetime.now(UTC)
            try:
                why = waiting_reason(drop, self.place, self.patience, moment)
                if why:
                    yield Result(name=drop.name, state="waiting", reason=why)
                else:
                    yield self._taken(drop)
            except ProofhouseError as error:
                yield Result(name=drop.name, state="failed", reason=error.message)
            except Exception as error:  # noqa: BLE001 - orchestrators raise anything
                _log.exception("the drop %s could not be taken in", drop.name)
                told = f"{type(error).__name__}: {error}"
                yield Result(name=drop.name, state="failed", reason=told[:2000])

    def _taken(self, drop: Drop) -> Result:
        known = self.store.claimed(MARKS + hexadecimal(drop.mark))
        if known is not None and (ended := self._ended(Digest(known.decode()))):
            return _known(drop, Digest(known.decode()), ended)
        self.scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.scratch, prefix="drop-") as folder:
            return self._examined(drop, Path(folder))

    def _examined(self, drop: Drop, folder: Path) -> Result:
        try:
            path = self.place.fetch(drop, folder)
            content = content_of(path)
        except InvalidInputError as error:
            # It has no content address, so its mark stands for it.
            return self._poisoned(drop, drop.mark, error.message)
        self.store.claim(MARKS + hexadecimal(drop.mark), content.encode())
        if ended := self._ended(content):
            return _known(drop, content, ended)
        attempt = self._leased(content)
        if attempt is None:
            return Result(name=drop.name, state="busy", content=content, reason="another has it")
        if ended := self._ended(content):  # its last holder finished while we looked
            return _known(drop, content, ended)
        if self._died(content) > MOST_DEATHS:
            why = f"{MOST_DEATHS} processes died of it; see the logs of those runs"
            return self._poisoned(drop, content, why)
        return self._run(drop, content, path, attempt)

    def _run(self, drop: Drop, content: Digest, path: Path, attempt: int) -> Result:
        try:
            document = self.run(path)
        except InvalidInputError as error:
            return self._poisoned(drop, content, error.message)
        except BaseException:
            self.store.claim(f"{_place(content)}released-{attempt:04d}", b"")
            raise
        ended = self._end(
            content,
            Ended(
                state="onboarded",
                name=drop.name,
                run=document["run"],
                verdict=document["verdict"],
                ended=datetime.now(UTC),
            ),
        )
        return Result(
            name=drop.name, state="onboarded", content=content, run=ended.run, verdict=ended.verdict
        )

    def _poisoned(self, drop: Drop, content: Digest, reason: str) -> Result:
        ended = Ended(state="poison", name=drop.name, reason=reason, ended=datetime.now(UTC))
        kept = self._end(content, ended)
        aside = self.place.set_aside(drop, kept.reason)
        told = f"{kept.reason} Moved to {aside}." if aside else kept.reason
        return Result(name=drop.name, state="poison", content=content, reason=told)

    def _end(self, content: Digest, ended: Ended) -> Ended:
        self.store.claim(f"{_place(content)}done", ended.canonical())
        return self._ended(content) or ended

    def _ended(self, content: Digest) -> Ended | None:
        data = self.store.claimed(f"{_place(content)}done")
        return None if data is None else Ended.parse(data)

    def _leased(self, content: Digest) -> int | None:
        """Returns the number of the attempt that this process may make, or None."""
        attempts = [*self.store.claims(f"{_place(content)}attempt-")]
        if attempts and not self._is_over(attempts[-1]):
            return None
        number = len(attempts) + 1
        won = self.store.claim(f"{_place(content)}attempt-{number:04d}", _lease().canonical())
        return number if won else None

    def _died(self, content: Digest) -> int:
        """Counts attempts that nobody ended, the one just begun among them."""
        begun = sum(1 for _ in self.store.claims(f"{_place(content)}attempt-"))
        return begun - sum(1 for _ in self.store.claims(f"{_place(content)}released-"))

    def _is_over(self, attempt: str) -> bool:
        if self.store.claimed(attempt.replace("attempt-", "released-")) is not None:
            return True
        data = self.store.claimed(attempt)
        return data is None or _has_ended(Lease.parse(data))


def open_place(drop: str) -> DropPlace:
    """Opens a folder or ``s3://bucket/prefix``.

    Raises:
        InvalidInputError: It is neither.
        StoreError: The bucket does not answer.
    """
    parts = urlsplit(drop)
    if parts.scheme == "s3":
        from tasks.intake.drops_s3 import S3Place  # noqa: PLC0415 - boto3 costs half a second
        from tasks.store.calls import S3Settings  # noqa: PLC0415

        deadline = read_settings().storage.deadline_seconds
        return S3Place(parts.netloc, parts.path, S3Settings(deadline_seconds=deadline))
    if "://" in drop:
        raise InvalidInputError(f"{drop} is no place for drops: give a folder or s3://bucket/…")
    return FolderPlace(Path(drop))


def _known(drop: Drop, content: Digest, ended: Ended) -> Result:
    same = "" if ended.name == drop.name else f"the same content came as {ended.name}"
    return Result(
        name=drop.name,
        state="poison" if ended.state == "poison" else "known",
        content=content,
        run=ended.run,
        verdict=ended.verdict,
        reason=ended.reason or same,
    )


def _place(content: Digest) -> str:
    return f"{DROPS}{hexadecimal(content)}/"


def _lease() -> Lease:
    pid = os.getpid()
    return Lease(
        host=socket.gethostname(), pid=pid, began=_began(pid), until=datetime.now(UTC) + LEASE
    )


def _has_ended(lease: Lease) -> bool:
    if datetime.now(UTC) >= lease.until:
        return True
    return lease.host == socket.gethostname() and _began(lease.pid) != lease.began


def _began(pid: int) -> int:
    """Returns when a process began, in ticks since boot; 0 when there is none. Ids are reused."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[19])  # field 22 of proc(5), after pid and name
