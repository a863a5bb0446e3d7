"""Sealing and what a reader gets back."""

import pytest

from tasks.domain.errors import SigningError
from tasks.ledger.entry import Sealed
from tasks.ledger.rejections import UnknownKeyError
from tasks.ledger.seal import reconcile, seal_run, sealed_run
from tasks.ledger.verify import verify_all, verify_run
from tests.simulators.store import MemoryStore
from tests.tasks.ledger.evidence import make_case, new_signer, seal_case, trusting


def test_a_sealed_run_verifies_and_reads_back() -> None:
    store, signer = MemoryStore(), new_signer()
    case, sealed = seal_case(store, signer)
    assert sealed.ledger_index == 0
    assert sealed_run(store, case.record.run) == (case.record, sealed)
    assert verify_run(case.record.run, store, trusting(signer)).problems == ()
    whole = verify_all(store, trusting(signer))
    assert (whole.ok, whole.problems, whole.garbage) == (True, (), ())
    assert whole.ledger_size == 1
    assert [run.run for run in whole.runs] == [case.record.run]


def test_an_unsealed_run_reads_as_none_and_does_not_verify() -> None:
    store, signer = MemoryStore(), new_signer()
    assert sealed_run(store, "run-0") is None
    assert not verify_run("run-0", store, trusting(signer)).ok


def test_sealing_again_returns_the_first_seal() -> None:
    store, signer = MemoryStore(), new_signer()
    case, sealed = seal_case(store, signer)
    before = dict(store.named)
    later = case.record.model_copy(update={"sealed": "2026-01-03T00:00:00Z"})
    assert seal_run(later, store=store, signer=new_signer(), files=case.files) == sealed
    assert store.named == before


def test_an_interrupted_attempt_with_another_record_is_finished_not_doubled() -> None:
    store, signer = MemoryStore(), new_signer()
    case, sealed = seal_case(store, signer)
    del store.named[f"runs/{case.record.run}"]
    later = case.record.model_copy(update={"sealed": "2026-01-03T00:00:00Z"})
    assert seal_run(later, store=store, signer=signer) == sealed
    assert sealed_run(store, case.record.run) == (case.record, sealed)
    assert verify_all(store, trusting(signer)).ledger_size == 1


def test_a_key_rotated_in_the_middle_finishes_the_run_when_both_are_trusted() -> None:
    store, old, new = MemoryStore(), new_signer(), new_signer()
    case, sealed = seal_case(store, old)
    del store.named[f"runs/{case.record.run}"]
    with pytest.raises(UnknownKeyError):
        seal_run(case.record, store=store, signer=new)
    both = trusting(old, new)
    assert seal_run(case.record, store=store, signer=new, trust=both) == sealed
    other, _ = seal_case(store, new, 1)
    assert verify_all(store, both).ok
    assert not verify_run(other.record.run, store, trusting(old)).ok


def test_a_key_that_does_not_sign_claims_nothing() -> None:
    class Broken(type(new_signer())):  # type: ignore[misc]  # the class is the library's own
        def sign(self, payload: bytes) -> None:  # noqa: ARG002
            raise OSError("token was pulled out")

    store = MemoryStore()
    signer = new_signer()
    signer.__class__ = Broken
    case = make_case(store)
    with pytest.raises(SigningError, match="token was pulled out"):
        seal_run(case.record, store=store, signer=signer)
    assert store.named == {}


@pytest.mark.parametrize("lost", ["runs/", "ledger/leaves", "ledger/checkpoints", "ledger/entries"])
def test_reconcile_finishes_what_was_signed(lost: str) -> None:
    store, signer = MemoryStore(), new_signer()
    seal_case(store, signer, 0)
    kept = dict(store.named)
    case, sealed = seal_case(store, signer, 1)
    steps = [name for name in store.named if name not in kept]
    order = ["ledger/entries", "ledger/leaves", "ledger/checkpoints", "runs/"]
    for name in steps:  # as if the writer had died before this step
        if any(name.startswith(prefix) for prefix in order[order.index(lost) :]):
            del store.named[name]
    assert reconcile(store, signer) == (case.record.run,)
    assert sealed_run(store, case.record.run) == (case.record, sealed)
    assert reconcile(store, signer) == ()
    assert verify_all(store, trusting(signer)).ok


def test_the_claim_of_a_run_is_small_canonical_json() -> None:
    store, signer = MemoryStore(), new_signer()
    case, sealed = seal_case(store, signer)
    text = f'{{"ledger_index":0,"statement":"{sealed.statement}"}}'
    assert store.named[f"runs/{case.record.run}"] == text.encode()
    assert Sealed.parse(text.encode()) == sealed
