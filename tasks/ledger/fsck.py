"""What is wrong with the log as a whole: every entry, checkpoint and leaf is recomputed."""

import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta

from tasks.domain.errors import ProofhouseError
from tasks.ledger.checkpoint import Checkpoint
from tasks.ledger.entry import (
    CHECKPOINTS,
    ENTRIES,
    LEAVES,
    ORIGIN,
    Entry,
    checkpoint_name,
    entry_name,
    leaf_name,
    read_entry,
)
from tasks.ledger.merkle import Tree
from tasks.ledger.rejections import LedgerError
from tasks.ledger.statement import moment_of
from tasks.ledger.view import LogView
from tasks.ledger.witness import Seen
from tasks.store.protocol import ObjectStore

SKEW = timedelta(hours=1)
"""Runs are dated before they are logged, so small steps back in time are normal."""


class Fsck:
    """Recomputes a log from its entries.

    Attributes:
        size: The size that the newest checkpoint covers.
        notes: Worth knowing, no failure.
    """

    def __init__(self, store: ObjectStore, view: LogView) -> None:
        self.notes: list[str] = []
        self._store = store
        self._newest: datetime | None = None
        self._view = view
        self._entries = set(store.claims(ENTRIES))
        self._checkpoints = set(store.claims(CHECKPOINTS))
        self.size = max((_number(name, CHECKPOINTS) for name in self._checkpoints), default=0)

    def problems(self, runs: set[str]) -> Iterator[str]:
        """Yields what is wrong with the log, given the runs that are declared done."""
        tree, leaves, named = Tree(), set[str](), dict[str, int]()
        origin = self._view.origin()
        for index in range(self.size):
            try:
                entry = self._entry(index)
            except ProofhouseError as error:
                yield error.message
                entry = None
            if entry is not None:
                leaves.add(leaf_name(entry.leaf))
                self._note_skew(entry, index)
                yield from self._entry_problems(entry, index, named, runs)
            yield from self._head_problems(entry, index, tree, origin)
        yield from self._tail_problems(leaves, named)

    def _note_skew(self, entry: Entry, index: int) -> None:
        """Notes dates that run backwards: order comes from the log, so a clock was wrong."""
        with contextlib.suppress(ProofhouseError):  # a date of no form fails its checkpoint
            moment = moment_of(entry.dated, place=entry_name(index))
            if self._newest is not None and self._newest - moment > SKEW:
                self.notes.append(
                    f"{entry_name(index)} is dated {entry.dated}, an earlier entry "
                    f"{self._newest.isoformat()}: a clock was wrong"
                )
            self._newest = max(self._newest or moment, moment)

    def _entry(self, index: int) -> Entry:
        place = entry_name(index)
        data = self._store.claimed(place)
        if data is None:
            raise LedgerError(f"{place} is missing: an entry was dropped")
        return read_entry(data, place=place)

    def _entry_problems(
        self, entry: Entry, index: int, named: dict[str, int], runs: set[str]
    ) -> Iterator[str]:
        place = entry_name(index)
        if entry.name in named:
            yield f"{place} is about {entry.name}, as is {entry_name(named[entry.name])}: doubled"
        named.setdefault(entry.name, index)
        # Asked again, because a run may have been sealed since the runs were listed.
        if entry.name not in runs and self._store.claimed(entry.claim) is None:
            yield (
                f"{entry.claim} is missing, though {place} logs it: the claim was removed, or "
                "sealing was interrupted (onboard again to finish it)"
            )
        leaf = leaf_name(entry.leaf)
        if self._store.claimed(leaf) != str(named[entry.name]).encode():
            yield f"{leaf} does not lead to entry {index}"

    def _head_problems(
        self, entry: Entry | None, index: int, tree: Tree, origin: str | None
    ) -> Iterator[str]:
        place = checkpoint_name(index + 1)
        try:
            head = self._view.checkpoint(index + 1)
        except ProofhouseError as error:
            yield error.message
            if entry is not None:
                tree.add(entry.leaf)
            return
        if entry is not None and entry.leaf != head.leaf_hash:
            yield f"{entry_name(index)} was changed: {place} was signed for another entry"
        elif entry is not None and entry.dated != head.dated:
            yield f"{place} is dated {head.dated}, its entry {entry.dated}"
        # What was signed goes on, so that one changed entry is one problem.
        tree.add(head.leaf_hash)
        if len(tree) == index + 1 and tree.root(index + 1) != head.root_hash:
            yield f"{place} does not continue the entries before it: forked or reordered"
        if head.origin != origin:
            yield f"{place} belongs to {head.origin}, {ORIGIN} says {origin}: logs were mixed"

    def _tail_problems(self, leaves: set[str], named: dict[str, int]) -> Iterator[str]:
        """Looks at what lies beyond the newest checkpoint, and where nothing should lie."""
        index = self.size
        while entry_name(index) in self._entries:
            try:
                entry = self._entry(index)
            except ProofhouseError as error:
                yield error.message
            else:
                leaves.add(leaf_name(entry.leaf))
                if entry.name in named:
                    first = entry_name(named[entry.name])
                    yield f"{entry_name(index)} is about {entry.name}, as is {first}: doubled"
            index += 1
        if index > self.size:
            self.notes.append(
                f"{index - self.size} entries from {entry_name(self.size)} on have no checkpoint "
                "yet: they were never acknowledged, the next append covers them"
            )
        yield from self._strays(index, leaves)

    def _strays(self, end: int, leaves: set[str]) -> Iterator[str]:
        entries = {entry_name(index) for index in range(end)}
        checkpoints = {checkpoint_name(size) for size in range(1, self.size + 1)}
        strays = (self._entries - entries) | (self._checkpoints - checkpoints)
        for name in sorted(strays | (set(self._store.claims(LEAVES)) - leaves)):
            yield f"{name} stands where the log has no place for it"


def head_problems(
    view: LogView, size: int, known: dict[str, Seen]
) -> tuple[Checkpoint | None, list[str]]:
    """Returns the head of ``size`` entries, and what contradicts what was seen before.

    ``known`` must have been read before ``size`` was: the log may grow in between.
    """
    try:
        head = view.checkpoint(size) if size else None
        if not known:
            return head, []
        origin = view.origin()
        seen = known.get(origin or "")
        if seen is None:
            told = ", ".join(f"{name} ({row.size} entries)" for name, row in known.items())
            raise LedgerError(
                f"{ORIGIN} is {origin or 'missing'}, but this home has seen {told}: the log was "
                "replaced or removed, or this is another store (verify it from a home of its own)"
            )
        view.verify_continues(seen, size)
    except ProofhouseError as error:
        return None, [error.message]
    return head, []


def _number(name: str, prefix: str) -> int:
    digits = name.removeprefix(prefix)
    return int(digits) if len(digits) == 12 and digits.isdecimal() else 0
