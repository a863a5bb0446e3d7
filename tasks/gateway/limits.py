"""How much an account may ask: a token bucket and a quota, decided in one step.

A request is granted whole or not at all, and a refused one costs nothing. In one process the
decision is a plain function without a wait inside, so concurrent requests can never be granted
more than there is; several gateways share the decision through Redis (``limits_redis.py``).
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from pydantic import Field, ValidationError

from tasks.domain.errors import InvalidInputError
from tasks.domain.frozen import Frozen
from tasks.gateway.keys import replace_file
from tasks.gateway.policy import Role


class Taken(NamedTuple):
    """A decision: granted or not, and what is left."""

    granted: bool
    why: str = ""
    """``rate``, ``quota`` or ``size`` (no bucket of this role ever holds so much)."""
    retry_after_seconds: float = 0.0
    used: int = 0
    """Items of this quota period, this request's included when granted."""


class Spent(Frozen):
    """What one account has left. Times are seconds since 1970."""

    tokens: float = Field(ge=0)
    seen: float
    period_began: float
    used: int = Field(default=0, ge=0)


class Limits(Protocol):
    """Where the counters are kept."""

    async def take(self, account: str, items: int, role: Role) -> Taken:
        """Decides about ``items`` more for ``account``, and counts them when granted."""

    async def give_back(self, account: str, items: int, role: Role) -> None:
        """Returns what was granted and then not answered through no fault of the caller."""

    async def close(self) -> None:
        """Writes what has to outlive the process."""


def decided(spent: Spent | None, items: int, role: Role, now: float) -> tuple[Taken, Spent]:
    """Decides about one request (pure).

    Args:
        spent: The account's counters, None for a new account.
        items: How much is asked for.
        role: The limits.
        now: Seconds since 1970; an earlier moment than last time counts as no time passed.

    Returns:
        The decision and the counters after it.
    """
    if spent is None:
        spent = Spent(tokens=role.burst, seen=now, period_began=now)
    passed = max(0.0, now - spent.seen)
    tokens = min(float(role.burst), spent.tokens + passed * role.rate_per_second)
    began, used = spent.period_began, spent.used
    if now - began >= role.quota_seconds:
        began, used = now, 0
    kept = Spent(tokens=tokens, seen=max(now, spent.seen), period_began=began, used=used)
    if items > role.burst:
        return Taken(False, "size", 0.0, used), kept
    if role.quota is not None and used + items > role.quota:
        return Taken(False, "quota", max(0.0, began + role.quota_seconds - now), used), kept
    if items > tokens:
        return Taken(False, "rate", (items - tokens) / role.rate_per_second, used), kept
    after = Spent(tokens=tokens - items, seen=kept.seen, period_began=began, used=used + items)
    return Taken(True, used=after.used), after


class _Snapshot(Frozen):
    schema_: str = Field(default="proofhouse.gateway-limits/1", alias="schema")
    accounts: dict[str, Spent] = {}


class MemoryLimits:
    """Counters of one process, with a snapshot that outlives it.

    After a crash, what was granted since the last snapshot (a second) is forgotten. Time comes from
    the monotonic clock, anchored at start, so that a clock that is set grants nothing.

    Args:
        path: The snapshot's file; None keeps nothing.
        clock: Seconds since 1970, never going back; for tests.

    Raises:
        InvalidInputError: The snapshot is damaged.
    """

    def __init__(self, path: Path | None, clock: Callable[[], float] | None = None) -> None:
        self._path = path
        self._clock = clock or anchored_clock()
        self._accounts: dict[str, Spent] = {}
        self._changed = False
        if path is not None and path.exists():
            try:
                self._accounts = dict(_Snapshot.parse(path.read_bytes()).accounts)
            except (OSError, ValidationError) as error:
                raise InvalidInputError(
                    f"{path} cannot be read as limits: restore it, or remove it to start every "
                    "account's quota anew"
                ) from error

    async def take(self, account: str, items: int, role: Role) -> Taken:
        """See :meth:`Limits.take`."""
        taken, self._accounts[account] = decided(
            self._accounts.get(account), items, role, self._clock()
        )
        self._changed = True
        return taken

    async def give_back(self, account: str, items: int, role: Role) -> None:
        """See :meth:`Limits.give_back`."""
        spent = self._accounts.get(account)
        if spent is not None:
            update = {
                "tokens": min(float(role.burst), spent.tokens + items),
                "used": max(0, spent.used - items),
            }
            self._accounts[account] = spent.model_copy(update=update)
            self._changed = True

    def snapshot(self) -> bytes | None:
        """Returns what is to be written, None when nothing changed since the last time."""
        if not self._changed or self._path is None:
            return None
        self._changed = False
        told = {account: spent.model_dump() for account, spent in self._accounts.items()}
        return json.dumps({"schema": "proofhouse.gateway-limits/1", "accounts": told}).encode()

    def write(self, snapshot: bytes) -> None:
        """Replaces the snapshot's file."""
        assert self._path is not None, "a snapshot was taken, so there is a file"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self._path, snapshot)

    async def close(self) -> None:
        """Writes the last snapshot."""
        if (last := self.snapshot()) is not None:
            self.write(last)


def anchored_clock() -> Callable[[], float]:
    """Returns a clock that starts at the wall's time and then only goes on."""
    anchor = time.time() - time.monotonic()
    return lambda: anchor + time.monotonic()
