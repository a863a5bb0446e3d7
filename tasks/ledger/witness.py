"""What this home last saw of each log: the memory against which rollback and fork show.

A signed checkpoint proves that the log once looked so, not that it still should: an older one is
just as well signed. Whoever remembers the newest head notices when less is shown.
"""

import base64
import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from tasks.domain.frozen import Frozen
from tasks.ledger.checkpoint import Checkpoint, Hash
from tasks.ledger.rejections import LedgerError


class Seen(Frozen):
    """The newest head of one log."""

    size: int = Field(ge=1)
    root: Hash

    @property
    def root_hash(self) -> bytes:
        """The root over all entries."""
        return base64.b64decode(self.root)


class _Memory(Frozen):
    schema_: Literal["proofhouse.witness/1"] = Field(default="proofhouse.witness/1", alias="schema")
    ledgers: dict[str, Seen] = {}


class Witness:
    """Remembers heads in ``<home>/witness.json``."""

    def __init__(self, home: Path) -> None:
        self.path = home / "witness.json"

    def seen(self) -> dict[str, Seen]:
        """Returns the newest head of every log by its origin.

        Raises:
            LedgerError: The file was damaged.
        """
        try:
            return _Memory.parse(self.path.read_bytes()).ledgers
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as error:
            raise LedgerError(
                f"{self.path} cannot be read, so a rollback of the log could not be noticed. "
                "Restore it from a backup, or remove it to begin anew from what the store shows."
            ) from error

    def remember(self, head: Checkpoint) -> None:
        """Keeps ``head`` when it is newer than what is known of its log.

        The caller has verified that it continues the known one.

        Raises:
            LedgerError: The file cannot be read or written.
        """
        try:
            with self._alone():
                known = self.seen()
                before = known.get(head.origin)
                if before is None or before.size < head.size:
                    seen = Seen(size=head.size, root=head.root)
                    self._write(_Memory(ledgers={**known, head.origin: seen}))
        except OSError as error:
            raise LedgerError(
                f"{self.path} cannot be written: {error.strerror}. Give this user write access."
            ) from error

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self.path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, memory: _Memory) -> None:
        part = self.path.with_name(f".{uuid.uuid4().hex}.part")
        with part.open("wb") as stream:
            stream.write(memory.canonical())
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(self.path)
