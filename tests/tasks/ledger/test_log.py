"""The log appends once, heals what dead writers left, and refuses to continue a false past."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.digest import digest_of
from tasks.ledger.entry import Entry, checkpoint_name, entry_name
from tasks.ledger.log import Log
from tasks.ledger.merkle import Tree, verify_consistency, verify_inclusion
from tasks.ledger.rejections import (
    BadSignatureError,
    ForkedError,
    LedgerError,
    MalformedError,
    RolledBackError,
    UnknownKeyError,
)
from tasks.ledger.view import LogView
from tasks.ledger.witness import Witness
from tests.simulators.store import MemoryStore
from tests.tasks.ledger.evidence import new_signer, trusting

SIGNER = new_signer()
TRUST = trusting(SIGNER)


def entry(number: int) -> Entry:
    return Entry(
        name=f"run-{number}", statement=digest_of(b"%d" % number), dated="2026-01-02T03:04:05Z"
    )


class CountingStore(MemoryStore):
    """Counts how often the store is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def claim(self, name: str, data: bytes) -> bool:
        self.asked += 1
        return super().claim(name, data)

    def claimed(self, name: str) -> bytes | None:
        self.asked += 1
        return super().claimed(name)


def filled(size: int, store: MemoryStore | None = None) -> MemoryStore:
    store = store or MemoryStore()
    log = Log(store, SIGNER)
    for number in range(size):
        log.append(entry(number))
    return store


def test_indices_follow_and_repeat_for_the_same_entry() -> None:
    log = Log(MemoryStore(), SIGNER)
    assert [log.append(entry(number)) for number in (5, 6, 5, 7, 6)] == [0, 1, 0, 2, 1]
    assert log.size == 3


def test_a_new_process_continues() -> None:
    store = filled(5)
    assert Log(store, SIGNER).append(entry(3)) == 3
    assert Log(store, SIGNER).append(entry(9)) == 5


def test_every_size_has_a_checkpoint_that_equals_the_naive_tree() -> None:
    store, tree = filled(20), Tree(entry(number).leaf for number in range(20))
    view = LogView(store, TRUST)
    assert view.size() == 20
    for size in range(1, 21):
        assert view.checkpoint(size).root_hash == tree.root(size)


@given(st.integers(1, 40), st.data())
def test_proofs_come_from_checkpoints_alone(size: int, data: st.DataObject) -> None:
    store = filled(size)
    for name in [name for name in store.named if name.startswith("ledger/entries")]:
        del store.named[name]
    view = LogView(store, TRUST)
    index = data.draw(st.integers(0, size - 1))
    proof = view.prove_inclusion(index, size)
    root = view.checkpoint(size).root_hash
    assert verify_inclusion(entry(index).leaf, index, size, proof, root)
    old = data.draw(st.integers(1, size))
    consistency = view.prove_consistency(old, size)
    assert verify_consistency(old, size, consistency, view.checkpoint(old).root_hash, root)


def test_appending_to_a_long_log_reads_little() -> None:
    store = filled(300, CountingStore())
    assert isinstance(store, CountingStore)
    store.asked = 0
    log = Log(store, SIGNER)
    assert log.append(entry(300)) == 300
    assert store.asked < 40  # galloping to the head: about 2 log2(300)
    store.asked = 0
    log.append(entry(301))
    assert store.asked == 5  # is the head the newest, is the leaf known, entry, leaf, checkpoint


STEPS = ["nothing", "entry", "entry and leaf"]


@pytest.mark.parametrize("left", STEPS)
@pytest.mark.parametrize("again", [True, False])
def test_a_dead_writer_is_finished_by_the_next(left: str, *, again: bool) -> None:
    store = filled(3)
    if left != "nothing":
        store.named[entry_name(3)] = entry(3).canonical()
    if left == "entry and leaf":
        store.named[f"ledger/leaves/{entry(3).leaf.hex()}"] = b"3"
    following = entry(3) if again else entry(4)
    expected = 3 if again or left == "nothing" else 4
    assert Log(store, SIGNER).append(following) == expected
    assert LogView(store, TRUST).size() == expected + 1


def test_reconcile_covers_every_entry_and_says_how_many() -> None:
    store = filled(2)
    for index in (2, 3):
        store.named[entry_name(index)] = entry(index).canonical()
    assert Log(store, SIGNER).reconcile() == 2
    assert Log(store, SIGNER).reconcile() == 0
    assert LogView(store, TRUST).size() == 4


def test_threads_share_a_log() -> None:
    got: list[int] = []
    log = Log(MemoryStore(), SIGNER)

    def write(start: int) -> None:
        got.extend(log.append(entry(number)) for number in range(start, start + 10))

    threads = [threading.Thread(target=write, args=(start,)) for start in (0, 10, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(got)) == list(range(20))
    assert len(got) == 30


def test_two_logs_on_one_store_interleave() -> None:
    store = MemoryStore()
    logs = [Log(store, SIGNER), Log(store, SIGNER)]
    assert [logs[number % 2].append(entry(number)) for number in range(9)] == list(range(9))
    assert logs[0].append(entry(7)) == 7


class _RacingStore(MemoryStore):
    """Lets another writer win each claim that is tried for the first time."""

    def __init__(self, winners: Iterator[Entry]) -> None:
        super().__init__()
        self.winners = winners

    def claim(self, name: str, data: bytes) -> bool:
        if name.startswith("ledger/entries/") and name not in self.named:
            winner = next(self.winners, None)
            if winner is not None:
                self.named[name] = winner.canonical()
        return super().claim(name, data)


def test_the_loser_of_a_race_tries_the_next_index() -> None:
    store = _RacingStore(iter([entry(7), entry(8)]))
    assert Log(store, SIGNER).append(entry(1)) == 2


def test_losing_the_race_to_oneself_is_winning() -> None:
    store = _RacingStore(iter([entry(7), entry(1)]))
    assert Log(store, SIGNER).append(entry(1)) == 1


def test_a_rolled_back_log_is_not_continued(tmp_path: Path) -> None:
    store, witness = filled(4), Witness(tmp_path)
    Log(store, SIGNER, witness=witness).append(entry(4))
    for size in (4, 5):
        del store.named[checkpoint_name(size)], store.named[entry_name(size - 1)]
    with pytest.raises(RolledBackError, match="it has 3 entries, this home has seen 5"):
        Log(store, SIGNER, witness=witness).append(entry(9))


def test_growth_while_the_log_is_opened_is_no_rollback(tmp_path: Path) -> None:
    class Busy(MemoryStore):
        """Another process appends right after the size of the log was read."""

        busy = False

        def claim(self, name: str, data: bytes) -> bool:
            if self.busy and name == "ledger/origin":
                self.busy = False
                Log(self, SIGNER, witness=Witness(tmp_path)).append(entry(7))
            return super().claim(name, data)

    store = Busy()
    Log(filled(4, store), SIGNER, witness=Witness(tmp_path)).append(entry(4))
    store.busy = True
    assert Log(store, SIGNER, witness=Witness(tmp_path)).append(entry(8)) == 6


def test_a_forked_log_is_not_continued(tmp_path: Path) -> None:
    store, witness = filled(4), Witness(tmp_path)
    fork = MemoryStore()
    fork.named = dict(store.named)
    Log(store, SIGNER, witness=witness).append(entry(4))
    for number in (5, 6):
        Log(fork, SIGNER).append(entry(number))
    with pytest.raises(ForkedError, match="does not continue the log of 5 entries"):
        Log(fork, SIGNER, witness=witness).append(entry(9))


def test_a_warm_log_notices_a_fork_under_it() -> None:
    store, fork = filled(2), MemoryStore()
    fork.named = dict(store.named)
    log = Log(store, SIGNER)
    log.append(entry(2))
    other = Log(fork, SIGNER)
    for number in (7, 8, 9):
        other.append(entry(number))
    store.named = fork.named
    with pytest.raises(ForkedError):
        log.append(entry(10))


def test_a_head_by_a_stranger_is_not_continued() -> None:
    store = MemoryStore()
    Log(store, new_signer()).append(entry(0))
    with pytest.raises(UnknownKeyError):
        Log(store, SIGNER, trust=TRUST).append(entry(1))


class _FalseStore(MemoryStore):
    """Shows a head of other entries at the moment a head is claimed."""

    head: bytes | None = None

    def claim(self, name: str, data: bytes) -> bool:
        if self.head and name.startswith("ledger/checkpoints/"):
            self.named[name] = self.head
        return super().claim(name, data)


def test_a_head_over_other_entries_at_our_size_is_a_fork() -> None:
    store, other = _FalseStore(), MemoryStore()
    filled(2, store)
    other.named = dict(store.named)
    Log(other, SIGNER).append(entry(9))
    store.head = other.named[checkpoint_name(3)]
    with pytest.raises(ForkedError, match="signs other entries"):
        Log(store, SIGNER).append(entry(3))


BREAKS = {
    "entry is garbage": (entry_name(3), b"garbage", MalformedError),
    "entry has another schema": (
        entry_name(3),
        entry(3).canonical().replace(b"entry/1", b"entry/2"),
        MalformedError,
    ),
    "leaf points elsewhere": (f"ledger/leaves/{entry(9).leaf.hex()}", b"1", LedgerError),
    "leaf points beyond": (f"ledger/leaves/{entry(9).leaf.hex()}", b"77", LedgerError),
    "leaf is no index": (f"ledger/leaves/{entry(9).leaf.hex()}", b"007", MalformedError),
    "head is garbage": (checkpoint_name(4), b"{}", MalformedError),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_log_is_not_continued(name: str) -> None:
    claim, data, expected = BREAKS[name]
    store = filled(3)
    store.named[claim] = data
    with pytest.raises(expected):
        Log(store, SIGNER, trust=TRUST).append(entry(9))


def test_a_head_with_a_changed_payload_is_refused() -> None:
    store = filled(3)
    store.named[checkpoint_name(3)] = store.named[checkpoint_name(2)]
    with pytest.raises(MalformedError, match="is the checkpoint of size 2"):
        Log(store, SIGNER, trust=TRUST).append(entry(9))
    store = filled(3)
    data = store.named[checkpoint_name(3)]
    signature = filled(4).named[checkpoint_name(4)].rpartition(b'"sig":')[2]
    store.named[checkpoint_name(3)] = data.rpartition(b'"sig":')[0] + b'"sig":' + signature
    with pytest.raises(BadSignatureError):
        Log(store, SIGNER, trust=TRUST).append(entry(9))


def test_a_log_of_another_origin_is_not_continued() -> None:
    store = filled(3)
    store.named["ledger/origin"] = b"proofhouse.dev/ledger/other"
    with pytest.raises(LedgerError, match="two logs were mixed"):
        Log(store, SIGNER).append(entry(9))


def test_a_damaged_memory_of_the_log_stops_the_writer(tmp_path: Path) -> None:
    witness = Witness(tmp_path)
    witness.path.write_text("{")
    with pytest.raises(LedgerError, match="remove it to begin anew"):
        Log(filled(1), SIGNER, witness=witness).append(entry(1))
