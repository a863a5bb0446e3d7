"""Reading the log: its head, its checkpoints, and proofs between them. Never writes."""

import contextlib
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from tasks.domain.digest import Digest
from tasks.ledger.checkpoint import Checkpoint, read_checkpoint
from tasks.ledger.entry import ORIGIN, checkpoint_name
from tasks.ledger.merkle import (
    consistency_proof,
    inclusion_proof,
    verify_consistency,
    verify_inclusion,
)
from tasks.ledger.rejections import ForkedError, LedgerError, RolledBackError, TooLargeError
from tasks.ledger.strict_json import MOST_BYTES
from tasks.ledger.trust import Trust
from tasks.ledger.witness import Seen
from tasks.store.protocol import ObjectStore


class LogView:
    """The log in a store as one reader sees it. Checkpoints are read once and remembered."""

    def __init__(self, store: ObjectStore, trust: Trust | None) -> None:
        self._store = store
        self._trust = trust
        self._known: dict[int, Checkpoint] = {}

    def origin(self) -> str | None:
        """Returns the name that this log gave itself at its first entry, or None when empty."""
        data = self._store.claimed(ORIGIN)
        return None if data is None else data[:200].decode("ascii", errors="replace")

    def checkpoint(self, size: int) -> Checkpoint:
        """Returns the checkpoint over ``size`` entries, its signature verified when trust is given.

        Raises:
            EvidenceError: It is missing, malformed or not signed by a trusted key.
        """
        if size not in self._known:
            place = checkpoint_name(size)
            data = self._store.claimed(place)
            if data is None:
                raise LedgerError(f"{place} is missing")
            self._known[size] = read_checkpoint(data, size=size, trust=self._trust, place=place)
        return self._known[size]

    def size(self, at_least: int = 0) -> int:
        """Returns the size of the newest checkpoint in O(log n) reads; 0 when there is none.

        Args:
            at_least: A size that is known to have a checkpoint.
        """
        low, step = at_least, 1
        while self._has(low + step):
            low, step = low + step, step * 2
        high = low + step
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._has(middle) else (low, middle)
        return low

    def node(self, level: int, index: int) -> bytes:
        """Returns a complete subtree's hash, from the checkpoint in which it ends."""
        return self.checkpoint((index + 1) << level).subtree(level)

    def prove_inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """Returns the RFC 6962 inclusion proof of entry ``index`` in the log of ``size``."""
        return inclusion_proof(self.node, index, size)

    def prove_consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """Returns the RFC 6962 proof that the log of ``new`` entries continues that of ``old``."""
        return consistency_proof(self.node, old, new)

    def verify_inclusion(self, leaf: bytes, index: int, size: int) -> None:
        """Refuses a leaf that the head of ``size`` entries does not hold at ``index``.

        Raises:
            LedgerError: It does not.
        """
        head = self.checkpoint(size)
        proof = self.prove_inclusion(index, size)
        if not verify_inclusion(leaf, index, size, proof, head.root_hash):
            raise LedgerError(
                f"entry {index} is not part of the log that {checkpoint_name(size)} signs"
            )

    def verify_continues(self, seen: Seen, size: int) -> None:
        """Refuses a head of ``size`` entries that does not continue one that was seen before.

        Raises:
            RolledBackError: The log is shorter.
            ForkedError: It holds other entries.
        """
        if size < seen.size:
            raise RolledBackError(
                f"the log was rolled back: it has {size} entries, this home has seen {seen.size}"
            )
        head = self.checkpoint(size)
        proof = self.prove_consistency(seen.size, size)
        if not verify_consistency(seen.size, size, proof, seen.root_hash, head.root_hash):
            raise ForkedError(
                f"the log was forked: {checkpoint_name(size)} does not continue the log of "
                f"{seen.size} entries that this home has seen"
            )

    def _has(self, size: int) -> bool:
        return size in self._known or self._store.claimed(checkpoint_name(size)) is not None


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Lends a private folder for :func:`read_capped`; one serves many reads."""
    with tempfile.TemporaryDirectory(prefix="proofhouse-verify-") as folder:
        yield Path(folder)


def read_capped(
    store: ObjectStore, digest: Digest, *, scratch: Path, most_bytes: int = MOST_BYTES
) -> bytes:
    """Returns an object, unless it is larger than anything this version writes.

    The store streams it to a file first: an object of a gigabyte costs no memory.

    Raises:
        StoreError: Missing or corrupt.
        TooLargeError: More than ``most_bytes``.
    """
    path = scratch / uuid.uuid4().hex
    try:
        store.fetch(digest, path)
        size = path.stat().st_size
        if size > most_bytes:
            raise TooLargeError(f"{digest} has {size} bytes, at most {most_bytes} are read")
        return path.read_bytes()
    finally:
        path.unlink(missing_ok=True)
