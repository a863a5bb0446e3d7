"""API keys: who asks, in which role. Only hashes are kept; a key is shown once, when it is made.

A key is ``phk_<id>_<secret>`` with 256 random bits of secret, so one SHA-256 is as good as a slow
hash: nobody can try 2^256. The file is replaced as a whole, under a lock, so that readers never
see half of it; a running gateway notices within a second.
"""

import base64
import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints, ValidationError

from tasks.domain.errors import InvalidInputError
from tasks.domain.frozen import Frozen
from tasks.gateway.policy import RoleName, Segment

_KEY = re.compile(r"^phk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})$")
Account = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9@._-]{0,99}$")]


class ApiKey(Frozen):
    """One key without its secret."""

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
    account: Account
    role: RoleName
    segment: Segment = ""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: bool = False

    def in_force(self, now: datetime) -> bool:
        """Answers whether the key counts at this moment."""
        return not self.revoked and (self.expires is None or now < self.expires)


class _File(Frozen):
    schema_: Literal["proofhouse.gateway-keys/1"] = Field(
        default="proofhouse.gateway-keys/1", alias="schema"
    )
    keys: tuple[ApiKey, ...] = ()


class KeyRing:
    """The keys of one gateway home."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keys.json"
        self._read_at: tuple[int, int] | None = None
        self._keys: dict[str, ApiKey] = {}

    def add(
        self, account: str, role: str, *, segment: str = "", days: float | None = None
    ) -> tuple[str, ApiKey]:
        """Makes a key; returns its whole text, which is kept nowhere, and its entry.

        Raises:
            InvalidInputError: The account, role or segment is malformed.
        """
        key_id, secret = secrets.token_hex(6), secrets.token_bytes(32)
        text = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
        now = datetime.now(UTC)
        try:
            entry = ApiKey(
                id=key_id,
                account=account,
                role=role,
                segment=segment,
                sha256=hashlib.sha256(text.encode()).hexdigest(),
                created=now,
                expires=None if days is None else now + timedelta(days=days),
            )
        except ValidationError as error:
            places = ", ".join(str(issue["loc"][0]) for issue in error.errors())
            raise InvalidInputError(
                f"{places}: accounts are names or addresses of at most 100 characters, roles and "
                "segments lower-case words"
            ) from error
        with self._changing() as keys:
            keys[key_id] = entry
        return f"phk_{key_id}_{text}", entry

    def revoke(self, name: str, *, undo: bool = False) -> tuple[str, ...]:
        """Revokes a key by id, or all keys of an account; again if need be.

        Returns the ids that ``name`` stands for.

        Raises:
            InvalidInputError: There is no such key or account.
        """
        with self._changing() as keys:
            named = tuple(key.id for key in keys.values() if name in {key.id, key.account})
            if not named:
                raise InvalidInputError(f"{name[:100]!r} is no key and no account of this gateway")
            for key_id in named:
                keys[key_id] = keys[key_id].model_copy(update={"revoked": not undo})
        return named

    def all(self) -> tuple[ApiKey, ...]:
        """Returns all keys, the oldest first."""
        self.refresh()
        return tuple(sorted(self._keys.values(), key=lambda key: (key.created, key.id)))

    def known(self, text: str) -> ApiKey | None:
        """Returns the key that ``text`` is, in force or not; None for anything else."""
        parts = _KEY.match(text)
        entry = self._keys.get(parts[1]) if parts else None
        told = hashlib.sha256((parts[2] if parts else "").encode()).hexdigest()
        # Compared even when there is no such key: the time must not tell.
        right = hmac.compare_digest(told, entry.sha256 if entry else "0" * 64)
        return entry if right else None

    def refresh(self) -> None:
        """Reads the file again if it was replaced.

        Raises:
            InvalidInputError: It is damaged; the keys known so far stay in force.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._keys, self._read_at = {}, None
            return
        seen = (found.st_ino, found.st_mtime_ns)
        if seen != self._read_at:
            self._keys, self._read_at = self._read(), seen

    def _read(self) -> dict[str, ApiKey]:
        try:
            file = _File.parse(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as error:
            raise InvalidInputError(
                f"{self.path} cannot be read as keys: restore it, or remove it and make new keys"
            ) from error
        return {key.id: key for key in file.keys}

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, ApiKey]]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            keys = self._read()
            yield keys
            file = _File(keys=tuple(keys.values()))
            replace_file(self.path, json.dumps(file.model_dump(mode="json"), indent=1).encode())
        self.refresh()


def replace_file(path: Path, data: bytes) -> None:
    """Replaces a small private file at once and durably."""
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)
