"""Appending to the log: crash-safe and safe for many writers, on nothing but write-once claims.

Entry ``i`` is the claim ``ledger/entries/<i>``; who loses the race for it reads the winner's and
tries ``i + 1``. After each entry follow ``ledger/leaves/<hash>`` (where a leaf lies) and
``ledger/checkpoints/<i + 1>`` (the signed head). An append is acknowledged when its checkpoint is
there. Two rules keep it exactly-once:

1. Nobody claims entry ``i + 1`` before entry ``i`` has leaf and checkpoint: whoever finds an entry
   without them, because its writer died, writes them.
2. Hence every entry under a checkpoint is found by its leaf, and the others by reading on from the
   newest checkpoint.
"""

import logging
import secrets
import threading

from securesystemslib.signer import Signer

from tasks.ledger.checkpoint import Checkpoint, read_checkpoint, sign_checkpoint
from tasks.ledger.entry import (
    ORIGIN,
    Entry,
    checkpoint_name,
    entry_name,
    leaf_name,
    read_entry,
    read_index,
)
from tasks.ledger.rejections import ForkedError, LedgerError
from tasks.ledger.trust import Trust
from tasks.ledger.view import LogView
from tasks.ledger.witness import Seen, Witness
from tasks.store.protocol import ObjectStore

_log = logging.getLogger(__name__)


class Log:
    """The log of a store, open for appending. Safe to share between threads.

    Args:
        store: Where the claims live.
        signer: Signs checkpoints.
        trust: Keys that may have signed the head which is continued. Without it the head's
            signature is not looked at: give it wherever somebody else can write to the store.
        witness: Refuses to continue a log that is shorter than, or differs from, what was seen.
    """

    def __init__(
        self,
        store: ObjectStore,
        signer: Signer,
        *,
        trust: Trust | None = None,
        witness: Witness | None = None,
    ) -> None:
        self._store = store
        self._signer = signer
        self._trust = trust
        self._witness = witness
        self._lock = threading.Lock()
        self._head: Checkpoint | None = None
        self._opened = False

    @property
    def size(self) -> int:
        """How many entries this process knows to be under a checkpoint."""
        return self._head.size if self._head else 0

    def append(self, entry: Entry) -> int:
        """Returns the index of ``entry``, appended unless it is there; durable on return.

        Raises:
            LedgerError: The log in the store contradicts itself or the witness.
            SigningError: The checkpoint cannot be signed. The entry may be there; append again.
            StoreError: The store failed. The entry may be there; append again.
        """
        with self._lock:
            self._catch_up()
            index = self._find(entry)
            while index is None:
                place = self.size
                won = self._store.claim(entry_name(place), entry.canonical())
                there = entry if won else self._entry(place)
                assert there is not None, "a lost claim leaves the winner's bytes"
                self._cover(there)
                index = place if there == entry else None
            self._remember()
            return index

    def reconcile(self) -> int:
        """Finishes what dead writers left; returns how many entries got their checkpoint."""
        with self._lock:
            self._catch_up()
            before = self.size
            while (entry := self._entry(self.size)) is not None:
                self._cover(entry)
            self._remember()
            return self.size - before

    def _catch_up(self) -> None:
        view = LogView(self._store, self._trust)
        # Memory first, log second: what another process appends in between is no rollback.
        seen = self._witness.seen() if self._witness and not self._opened else {}
        size = view.size(self.size)
        if size > self.size:
            if self._head:
                view.verify_continues(Seen(size=self._head.size, root=self._head.root), size)
            self._head = view.checkpoint(size)
        if self._opened:
            return
        self._origin = self._open_origin()
        if self._head and self._head.origin != self._origin:
            raise LedgerError(
                f"{checkpoint_name(size)} belongs to {self._head.origin}, {ORIGIN} says "
                f"{self._origin}: two logs were mixed. Restore the store from its backup."
            )
        if known := seen.get(self._origin):
            view.verify_continues(known, size)
        self._opened = True

    def _open_origin(self) -> str:
        # A random part keeps checkpoints of two logs under one key from passing for each other.
        self._store.claim(ORIGIN, f"proofhouse.dev/ledger/{secrets.token_hex(16)}".encode())
        origin = LogView(self._store, None).origin()
        if origin is None:
            raise LedgerError(f"{ORIGIN} was claimed and is gone: the store forgets claims")
        return origin

    def _find(self, entry: Entry) -> int | None:
        """Returns the index of an entry that lies under a checkpoint, or None."""
        place = leaf_name(entry.leaf)
        data = self._store.claimed(place)
        if data is None:
            return None
        index = read_index(data, place=place)
        while self.size <= index and (missing := self._entry(self.size)) is not None:
            self._cover(missing)
        if self._entry(index) != entry:
            raise LedgerError(f"{place} says {index}, but {entry_name(index)} is another entry")
        return index

    def _entry(self, index: int) -> Entry | None:
        place = entry_name(index)
        data = self._store.claimed(place)
        return None if data is None else read_entry(data, place=place)

    def _cover(self, entry: Entry) -> None:
        """Gives entry number ``size`` its leaf and checkpoint, whoever wrote it."""
        index, leaf = self.size, entry.leaf
        place = leaf_name(leaf)
        if not self._store.claim(place, str(index).encode()):
            known = self._store.claimed(place)
            if known != str(index).encode():
                raise LedgerError(f"{entry_name(index)} is also entry {known!r}: it was doubled")
        peaks = self._head.all_peaks() if self._head else ()
        head = Checkpoint.after(peaks, index, leaf, origin=self._origin, dated=entry.dated)
        place = checkpoint_name(head.size)
        if not self._store.claim(place, sign_checkpoint(head, self._signer)):
            self._verify_same(head, place)
        self._head = head

    def _verify_same(self, head: Checkpoint, place: str) -> None:
        data = self._store.claimed(place)
        if data is None:
            raise LedgerError(f"{place} was claimed and is gone: the store forgets claims")
        theirs = read_checkpoint(data, size=head.size, trust=self._trust, place=place)
        if theirs != head:
            raise ForkedError(f"{place} signs other entries than the store holds: the log forked")

    def _remember(self) -> None:
        if self._witness and self._head:
            self._witness.remember(self._head)
