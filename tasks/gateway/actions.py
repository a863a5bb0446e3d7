"""What a response playbook can do to a running gateway: throttle, reauthenticate, revoke, kill.

Every action can be repeated without further effect and taken back (``undo=True``). They change one
small file in the gateway's home; a running gateway follows within a second, one that is down
follows at its next start. Each leaves a line in ``actions.jsonl``.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, Field, ValidationError

from tasks.domain.errors import InvalidInputError
from tasks.domain.frozen import Frozen
from tasks.gateway.keys import KeyRing, replace_file
from tasks.gateway.policy import Role


class Controls(Frozen):
    """What is in force beyond the policy."""

    schema_: str = Field(default="proofhouse.gateway-controls/1", alias="schema")
    throttled: dict[str, float] = {}
    """Account to the factor on rate and burst."""
    reauthenticate: dict[str, AwareDatetime] = {}
    """Account to the moment before which its keys were made to count no more."""
    killed: str = ""
    """Why nothing is answered, empty while everything is."""
    canary_percent: float | None = None
    """In place of the policy's; rollback sets 0."""

    def terms(self, account: str, role: Role) -> Role:
        """Returns the limits that hold for an account now."""
        factor = self.throttled.get(account)
        if factor is None:
            return role
        return role.model_copy(
            update={
                "rate_per_second": role.rate_per_second * factor,
                "burst": max(1, int(role.burst * factor)),
            }
        )


class ControlFile:
    """The controls of one gateway home."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "controls.json"
        self._seen: tuple[int, int] | None = None
        self._controls = Controls()

    def read(self) -> Controls:
        """Returns what is in force, reading the file again only if it was replaced.

        Raises:
            InvalidInputError: It is damaged; what was known stays in force.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._seen, self._controls = None, Controls()
            return self._controls
        seen = (found.st_ino, found.st_mtime_ns)
        if seen != self._seen:
            try:
                self._controls = Controls.parse(self.path.read_bytes())
            except (OSError, ValidationError) as error:
                raise InvalidInputError(
                    f"{self.path} cannot be read as controls: restore it, or remove it to lift "
                    "every throttle and the kill switch"
                ) from error
            self._seen = seen
        return self._controls

    @contextlib.contextmanager
    def changing(self, action: str, by: str, **told: Any) -> Iterator[list[Controls]]:
        """Lends the controls in a list of one; what is put there comes into force."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = self.read()
            box = [before]
            yield box
            if box[0] != before:
                replace_file(self.path, box[0].canonical())
            note(self.path.parent, action, by=by, changed=box[0] != before, **told)


def throttle(
    home: Path, account: str, *, factor: float = 0.1, by: str = "", undo: bool = False
) -> Controls:
    """Slows an account down to ``factor`` of its rate and burst.

    Raises:
        InvalidInputError: The factor is not within 0 (exclusive) to 1.
    """
    if not 0 < factor <= 1:
        raise InvalidInputError(f"a throttle is a factor above 0 and at most 1, not {factor}")
    with _file(home).changing("throttle", by, account=account, factor=factor, undo=undo) as box:
        rest = {name: each for name, each in box[0].throttled.items() if name != account}
        throttled = rest if undo else rest | {account: factor}
        box[0] = box[0].model_copy(update={"throttled": throttled})
    return box[0]


def reauthenticate(home: Path, account: str, *, by: str = "", undo: bool = False) -> Controls:
    """Answers an account again only with a key that is made after this action.

    Undo lets its present keys in again.
    """
    with _file(home).changing("reauthenticate", by, account=account, undo=undo) as box:
        rest = {name: each for name, each in box[0].reauthenticate.items() if name != account}
        since = box[0].reauthenticate.get(account) or datetime.now(UTC)
        asked = rest if undo else rest | {account: since}
        box[0] = box[0].model_copy(update={"reauthenticate": asked})
    return box[0]


def revoke(home: Path, name: str, *, by: str = "", undo: bool = False) -> tuple[str, ...]:
    """Revokes one key by its id, or all keys of an account; returns the ids.

    Raises:
        InvalidInputError: There is no such key or account.
    """
    folder = gateway_folder(home)
    named = KeyRing(folder).revoke(name, undo=undo)
    note(folder, "revoke", by=by, name=name, keys=list(named), undo=undo)
    return named


def kill(home: Path, *, reason: str = "killed", by: str = "", undo: bool = False) -> Controls:
    """Answers nobody any more, whatever the key."""
    with _file(home).changing("kill", by, reason=reason, undo=undo) as box:
        box[0] = box[0].model_copy(update={"killed": "" if undo else (reason or "killed")})
    return box[0]


def set_canary(home: Path, percent: float, *, by: str = "", undo: bool = False) -> Controls:
    """Sets the share of accounts that meet the canary; undo returns to the policy's.

    Raises:
        InvalidInputError: The share is not within 0 to 100.
    """
    if not 0 <= percent <= 100:
        raise InvalidInputError(f"a share is 0 to 100 per cent, not {percent}")
    with _file(home).changing("canary", by, percent=percent, undo=undo) as box:
        box[0] = box[0].model_copy(update={"canary_percent": None if undo else percent})
    return box[0]


def gateway_folder(home: Path) -> Path:
    """Returns where a home keeps its gateway's keys, controls, limits and spool."""
    return home / "gateway"


def note(folder: Path, action: str, **told: Any) -> None:
    """Adds one line to ``actions.jsonl``, durably."""
    line = {"at": datetime.now(UTC).isoformat(), "action": action, **told}
    with (folder / "actions.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def _file(home: Path) -> ControlFile:
    return ControlFile(gateway_folder(home))
