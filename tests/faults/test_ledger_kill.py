"""SIGKILL while sealing, on a real folder: nothing acknowledged is lost, nothing is logged twice.

Rows 15, 22, 23 and 24 of the fault scorecard.
"""

import multiprocessing
import os
import random
import signal
import time
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner, Signer

from tasks.ledger.seal import Sealed, reconcile, seal_run, sealed_run
from tasks.ledger.verify import verify_all
from tasks.ledger.witness import Witness
from tasks.store.local import LocalStore
from tasks.store.protocol import ObjectRef
from tests.tasks.ledger.evidence import make_case, new_signer, seal_case, trusting

FORK = multiprocessing.get_context("fork")
WRITES = ["envelope", "statement claim", "entry", "leaf", "checkpoint", "run claim"]


class MortalStore(LocalStore):
    """Kills its process at a chosen write: before it, or after the store acknowledged it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.remaining = -1
        self.after = False

    def put(self, data: bytes) -> ObjectRef:
        self._count(last=False)
        ref = super().put(data)
        self._count(last=True)
        return ref

    def claim(self, name: str, data: bytes) -> bool:
        if name == "ledger/origin":
            return super().claim(name, data)
        self._count(last=False)
        won = super().claim(name, data)
        self._count(last=True)
        return won

    def _count(self, *, last: bool) -> None:
        if self.remaining == 0 and last == self.after:
            os.kill(os.getpid(), signal.SIGKILL)
        if last:
            self.remaining -= 1


def _seal_and_die(root: Path, signer: Signer, home: Path, step: int, *, after: bool) -> None:
    store = MortalStore(root)
    case = make_case(store, 1)
    store.remaining, store.after = step, after
    seal_run(case.record, store=store, signer=signer, files=case.files, witness=Witness(home))


# Signatures by ECDSA differ each time, so a resumed run must find the first one.
STEPS = [("ed25519", step, after) for step in range(len(WRITES)) for after in (False, True)]
STEPS += [("ecdsa", step, False) for step in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("key", "step", "after"),
    STEPS,
    ids=[f"{key}-{'after' if after else 'before'} {WRITES[step]}" for key, step, after in STEPS],
)
def test_killed_at_each_write_the_run_is_sealed_exactly_once(
    tmp_path: Path, key: str, step: int, *, after: bool
) -> None:
    signer = new_signer() if key == "ed25519" else CryptoSigner.generate_ecdsa()
    store, trust, home = LocalStore(tmp_path / "store"), trusting(signer), tmp_path
    before = verify_all_after_first(store, signer)
    child = FORK.Process(
        target=_seal_and_die, args=(tmp_path / "store", signer, home, step), kwargs={"after": after}
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    case = make_case(store, 1)
    done = sealed_run(store, case.record.run)
    assert (done is not None) == (step == 5 and after)
    # What was acknowledged before the crash still stands, and only the dead run may be open.
    crashed = verify_all(store, trust)
    assert all(run.ok for run in crashed.runs)
    assert all(case.record.run in problem for problem in crashed.problems)
    if key == "ed25519":
        reconcile(store, signer, trust=trust)
    sealed = seal_run(case.record, store=store, signer=signer, files=case.files, trust=trust)
    assert sealed.ledger_index == before
    whole = verify_all(store, trust, Witness(home))
    assert (whole.ok, whole.ledger_size, len(whole.runs)) == (True, before + 1, 2)
    if key == "ed25519":
        assert whole.garbage == ()  # signing again gave the same bytes


def verify_all_after_first(store: LocalStore, signer: Signer) -> int:
    seal_case(store, signer, 0)
    return 1


def _seal_for_ever(root: Path, signer: Signer, home: Path, told: Connection, start: int) -> None:
    store = LocalStore(root)
    for number in range(start, start + 1000):
        case = make_case(store, number)
        sealed = seal_run(
            case.record, store=store, signer=signer, files=case.files, witness=Witness(home)
        )
        told.send((number, case.record.run, sealed))


def test_killed_at_random_moments_no_acknowledged_run_is_lost(tmp_path: Path) -> None:
    signer, root = new_signer(), tmp_path / "store"
    rng = random.Random(7)  # noqa: S311 - moments to die at, no secret
    acknowledged: dict[str, Sealed] = {}
    number = 0
    for _ in range(8):
        mine, theirs = FORK.Pipe(duplex=False)
        child = FORK.Process(target=_seal_for_ever, args=(root, signer, tmp_path, theirs, number))
        child.start()
        theirs.close()
        time.sleep(rng.uniform(0.05, 0.25))
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
        number = _drain(mine, acknowledged, number)
    store = LocalStore(root)
    reconcile(store, signer)
    whole = verify_all(store, trusting(signer), Witness(tmp_path))
    assert (whole.ok, whole.problems) == (True, ())
    assert acknowledged
    for run, sealed in acknowledged.items():
        found = sealed_run(store, run)
        assert found is not None
        assert found[1] == sealed
    # Exactly once: as many entries as sealed runs.
    assert whole.ledger_size == len(whole.runs)
    assert set(acknowledged) <= {run.run for run in whole.runs}


def _drain(pipe: Connection, acknowledged: dict[str, Sealed], number: int) -> int:
    try:
        while pipe.poll():
            number, run, sealed = pipe.recv()
            acknowledged[run] = sealed
    except EOFError:
        pass
    return number  # the last one is sealed again: a retry must get the same answer


def _seal_many(root: Path, signer: Signer, home: Path, told: Connection, numbers: range) -> None:
    store = LocalStore(root)
    for number in numbers:
        case = make_case(store, number)
        seal = seal_run(
            case.record, store=store, signer=signer, files=case.files, witness=Witness(home)
        )
        told.send(seal.ledger_index)


def test_two_processes_seal_fifty_runs_each(tmp_path: Path) -> None:
    signer, root = new_signer(), tmp_path / "store"
    ends = [FORK.Pipe(duplex=False) for _ in range(2)]
    children = [
        FORK.Process(
            target=_seal_many,
            args=(root, signer, tmp_path, ends[n][1], range(n * 50, n * 50 + 50)),
        )
        for n in range(2)
    ]
    _start(children, ends)
    indices = [ends[n][0].recv() for n in range(2) for _ in range(50)]
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    assert sorted(indices) == list(range(100))
    whole = verify_all(LocalStore(root), trusting(signer), Witness(tmp_path))
    assert (whole.ok, whole.ledger_size, whole.garbage) == (True, 100, ())


def _start(children: list[ForkProcess], ends: list[tuple[Connection, Connection]]) -> None:
    for child in children:
        child.start()
    for _, theirs in ends:
        theirs.close()  # a child that dies is then the end of its pipe, not a wait for ever


def _seal_same(root: Path, signer: Signer, home: Path, told: Connection) -> None:
    store = LocalStore(root)
    for number in range(15):
        case = make_case(store, number)
        seal = seal_run(
            case.record, store=store, signer=signer, files=case.files, witness=Witness(home)
        )
        told.send(seal)


def test_two_processes_that_seal_the_same_runs_agree(tmp_path: Path) -> None:
    signer, root = CryptoSigner.generate_ecdsa(), tmp_path / "store"
    ends = [FORK.Pipe(duplex=False) for _ in range(2)]
    children = [
        FORK.Process(target=_seal_same, args=(root, signer, tmp_path, end[1])) for end in ends
    ]
    _start(children, ends)
    seals = [[end[0].recv() for _ in range(15)] for end in ends]
    for child in children:
        child.join()
    assert seals[0] == seals[1]
    whole = verify_all(LocalStore(root), trusting(signer))
    assert (whole.ok, whole.ledger_size) == (True, 15)
