"""Verification names what was tampered with: each attack on a small ledger, and random ones."""

import json
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.domain.digest import Digest, digest_of
from tasks.ledger.entry import Sealed, checkpoint_name, entry_name
from tasks.ledger.seal import seal_run
from tasks.ledger.trust import KeyStanding, Trust
from tasks.ledger.verify import verify_all, verify_run
from tasks.ledger.witness import Witness
from tests.simulators.store import MemoryStore
from tests.tasks.ledger.evidence import (
    local_store,
    make_case,
    new_signer,
    seal_case,
    trusting,
)
from tests.tasks.ledger.small_ledger import (
    CASES,
    ORIGINAL,
    SIGNER,
    TRUST,
    Ledger,
    flipped,
    fresh,
    sealed_ledger,
    swap,
    told,
)


def test_the_untouched_ledger_verifies() -> None:
    whole = verify_all(ORIGINAL.store, TRUST)
    assert (whole.ok, told(whole), whole.notes, whole.garbage) == (True, "", (), ())


def test_the_json_has_the_agreed_shape() -> None:
    document = verify_all(ORIGINAL.store, TRUST).model_dump(mode="json")
    assert document["ok"] is True
    run = {"run": ORIGINAL.run(0), "ok": True, "problems": []}
    assert next(row for row in document["runs"] if row["run"] == run["run"]).items() >= run.items()
    json.dumps(document)


ROLES = [reference.role for reference in ORIGINAL.cases[1].record.objects] + ["statement"]


def digest_for(ledger: Ledger, role: str) -> Digest:
    if role == "statement":
        return ledger.seals[1].statement
    return next(ref.digest for ref in ledger.cases[1].record.objects if ref.role == role)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("missing", [False, True])
def test_a_flipped_or_missing_object_is_named(role: str, *, missing: bool) -> None:
    ledger = fresh()
    digest = digest_for(ledger, role)
    if missing:
        del ledger.store.objects[digest]
    else:
        ledger.store.objects[digest] = flipped(ledger.store.objects[digest])
    one = verify_run(ledger.run(1), ledger.store, TRUST)
    assert not one.ok
    assert any(digest in problem for problem in one.problems)
    whole = verify_all(ledger.store, TRUST)
    assert not whole.ok
    assert digest in told(whole)


def remembered(tmp_path: Path) -> Witness:
    witness = Witness(tmp_path)
    assert verify_all(ORIGINAL.store, TRUST, witness).ok
    assert [seen.size for seen in witness.seen().values()] == [CASES]
    return witness


def rolled_back() -> MemoryStore:
    """The store as it was before the last run, whole in itself."""
    ledger = fresh()
    names = ledger.store.named
    leaf = next(n for n, v in names.items() if n.startswith("ledger/leaves/") and v == b"2")
    gone = [entry_name(2), checkpoint_name(3), leaf]
    gone += [f"{prefix}/{ledger.run(2)}" for prefix in ("runs", "statements")]
    for name in gone:
        del names[name]
    return ledger.store


def test_a_rollback_shows_only_against_what_was_seen(tmp_path: Path) -> None:
    store = rolled_back()
    assert verify_all(store, TRUST).ok
    whole = verify_all(store, TRUST, remembered(tmp_path))
    assert "rolled back: it has 2 entries, this home has seen 3" in told(whole)
    one = verify_run(ORIGINAL.run(0), store, TRUST, Witness(tmp_path))
    assert "rolled back" in " ".join(one.problems)


def test_a_fork_shows_against_what_was_seen(tmp_path: Path) -> None:
    witness, store = remembered(tmp_path), rolled_back()
    for number in (7, 8):
        seal_case(store, SIGNER, number)
    assert verify_all(store, TRUST).ok
    whole = verify_all(store, TRUST, witness)
    assert not whole.ok
    assert "forked" in told(whole)
    assert not verify_run(ORIGINAL.run(0), store, TRUST, witness).ok
    assert [seen.size for seen in witness.seen().values()] == [CASES]


def test_an_emptied_or_replaced_store_shows_against_what_was_seen(tmp_path: Path) -> None:
    witness = remembered(tmp_path)
    for store in (MemoryStore(), sealed_ledger().store):
        whole = verify_all(store, TRUST, witness)
        assert "replaced or removed" in told(whole)


def test_growth_is_no_rollback_and_is_remembered(tmp_path: Path) -> None:
    witness, ledger = remembered(tmp_path), fresh()
    case, _ = seal_case(ledger.store, SIGNER, 9)
    assert verify_run(case.record.run, ledger.store, TRUST, witness).ok
    assert [seen.size for seen in witness.seen().values()] == [CASES + 1]


def test_two_heads_in_one_store_show_as_a_fork() -> None:
    ledger, other = fresh(), MemoryStore()
    other.objects, other.named = dict(ledger.store.objects), dict(rolled_back().named)
    seal_case(other, SIGNER, 7)
    ledger.store.named[checkpoint_name(3)] = other.named[checkpoint_name(3)]
    whole = verify_all(ledger.store, TRUST)
    assert f"{entry_name(2)} was changed" in told(whole)


def test_history_rewritten_and_signed_again_contradicts_older_heads() -> None:
    ledger, other = fresh(), MemoryStore()
    other.named["ledger/origin"] = ledger.store.named["ledger/origin"]
    for number in (2, 1, 0):
        seal_case(other, SIGNER, number)
    for name in (entry_name(2), checkpoint_name(3)):
        ledger.store.named[name] = other.named[name]
    assert f"{checkpoint_name(3)} does not continue" in told(verify_all(ledger.store, TRUST))


def test_evidence_that_the_record_does_not_list_is_named() -> None:
    store = MemoryStore()
    case = make_case(store)
    lost = digest_of(b"never stored")
    finding = case.record.findings[0].model_copy(update={"evidence": (lost,)})
    record = case.record.model_copy(update={"findings": (finding,)})
    seal_run(record, store=store, signer=SIGNER, files=case.files)
    problems = verify_run(record.run, store, TRUST).problems
    assert f"{lost}, evidence of data.duplicates, is not among the run's objects" in problems
    assert f"{lost}: {lost} is not stored" in problems


def test_measurements_that_the_record_does_not_list_are_named() -> None:
    store = MemoryStore()
    case = make_case(store)
    lost = store.put(b"unlisted").digest
    execution = case.record.executions[0].model_copy(update={"measurement": lost})
    record = case.record.model_copy(update={"executions": (execution,)})
    seal_run(record, store=store, signer=SIGNER)
    assert lost in " ".join(verify_run(record.run, store, TRUST).problems)


def test_sizes_and_files_that_do_not_fit_are_named() -> None:
    store = MemoryStore()
    case = make_case(store)
    first, *others = case.record.objects
    wrong = first.model_copy(update={"size_bytes": 1})
    record = case.record.model_copy(update={"objects": (wrong, *others)})
    file = case.files[1].model_copy(update={"digest": case.files[0].digest})
    seal_run(record, store=store, signer=SIGNER, files=(case.files[0], file))
    problems = " ".join(verify_run(record.run, store, TRUST).problems)
    assert "the record says 1 (subject)" in problems
    assert "differ about model/a.onnx" in problems


MINE = SIGNER.public_key.keyid


@pytest.mark.parametrize(
    ("trust", "reason"),
    [
        (Trust([]), "nobody here trusts"),
        (trusting(new_signer()), "nobody here trusts"),
        (Trust([SIGNER.public_key], [KeyStanding(keyid=MINE, revoked=True)]), "revoked"),
        (
            Trust(
                [SIGNER.public_key],
                [KeyStanding(keyid=MINE, not_after=datetime(2025, 1, 1, tzinfo=UTC))],
            ),
            "expired",
        ),
    ],
)
def test_a_key_that_does_not_count_fails_every_run(trust: Trust, reason: str) -> None:
    whole = verify_all(ORIGINAL.store, trust)
    assert not any(run.ok for run in whole.runs)
    assert reason in told(whole)


def test_garbage_is_listed_and_no_failure() -> None:
    ledger = fresh()
    garbage = ledger.store.put(b"left by a dead run").digest
    cached = ledger.store.put(b"a measurement in use by its claim").digest
    ledger.store.named["measurements/abc"] = cached.encode()
    whole = verify_all(ledger.store, TRUST)
    assert (whole.ok, whole.garbage) == (True, (garbage,))


def test_what_the_store_says_of_versions_is_passed_on() -> None:
    class Versioned(MemoryStore):
        def audit(self, digest: Digest) -> list[str]:
            return [f"{digest} has 2 versions"]

    store = Versioned()
    case, sealed = seal_case(store, SIGNER)
    whole = verify_all(store, TRUST)
    assert whole.ok
    assert f"{sealed.statement} has 2 versions" in whole.notes
    assert verify_run(case.record.run, store, TRUST).notes == whole.notes


def test_an_uncovered_entry_is_a_note_and_not_a_failure() -> None:
    ledger = fresh()
    ledger.store.named[entry_name(CASES)] = ledger.store.named[entry_name(0)].replace(
        ORIGINAL.run(0).encode(), b"run-new"
    )
    whole = verify_all(ledger.store, TRUST)
    assert whole.ok
    assert "never acknowledged" in whole.notes[0]


def test_a_clock_that_ran_backwards_is_noted() -> None:
    store = MemoryStore()
    for number, sealed in enumerate(
        ("2026-01-03T00:00:00Z", "2026-01-02T23:30:00Z", "2026-01-02T00:00:00Z")
    ):
        case = make_case(store, number, sealed=sealed)
        seal_run(case.record, store=store, signer=SIGNER)
    whole = verify_all(store, TRUST)
    assert whole.ok
    assert [note[: len(entry_name(2))] for note in whole.notes] == [entry_name(2)]


def test_an_empty_store_verifies_as_empty() -> None:
    whole = verify_all(MemoryStore(), TRUST)
    assert (whole.ok, whole.runs, whole.ledger_size) == (True, (), 0)


def test_a_giant_statement_is_refused_in_constant_memory(tmp_path: Path) -> None:
    giant = tmp_path / "giant"
    with giant.open("wb") as stream:
        stream.truncate((64 << 20) + 1)
    store = local_store(tmp_path / "store")
    digest = store.put_file(giant).digest
    store.claim("runs/run-x", Sealed(statement=digest, ledger_index=0).canonical())
    tracemalloc.start()
    one = verify_run("run-x", store, TRUST)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "at most 67108864 are read" in one.problems[0]
    assert peak < 8 << 20


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_flipped_byte_goes_unnoticed(data: st.DataObject) -> None:
    ledger = fresh()
    objects = [("object", name) for name in sorted(ledger.store.objects)]
    claims = [("claim", name) for name in sorted(ledger.store.named)]
    kind, name = data.draw(st.sampled_from(objects + claims))
    where = ledger.store.objects if kind == "object" else ledger.store.named
    held: dict[str, bytes] = where  # type: ignore[assignment]  # digests are strings
    place = data.draw(st.integers(0, len(held[name]) - 1))
    held[name] = flipped(held[name], place, data.draw(st.integers(1, 255)))
    assert not verify_all(ledger.store, TRUST).ok


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_lost_or_swapped_claim_goes_unnoticed(data: st.DataObject) -> None:
    ledger = fresh()
    names = ledger.store.named
    first, second = data.draw(
        st.lists(st.sampled_from(sorted(names)), min_size=2, max_size=2, unique=True)
    )
    if data.draw(st.booleans()):
        swap(names, first, second)
    else:
        # Lost alone, this claim costs nothing: it only fixes the statement until the run is done.
        del names[first]
        if first.startswith("statements/"):
            return
    assert not verify_all(ledger.store, TRUST).ok
