"""Each attack on the claims of a ledger is named by verification."""

from collections.abc import Callable

import pytest

from tasks.ledger.entry import checkpoint_name, entry_name
from tasks.ledger.verify import verify_all
from tests.tasks.ledger.evidence import (
    new_signer,
)
from tests.tasks.ledger.small_ledger import CASES, ORIGINAL, TRUST, fresh, sealed_ledger, swap, told


def drop_entry(names: dict[str, bytes]) -> None:
    del names[entry_name(1)]


def change_entry(names: dict[str, bytes]) -> None:
    names[entry_name(1)] = names[entry_name(1)].replace(b"2026-01-02", b"2026-01-03")


def double_entry(names: dict[str, bytes]) -> None:
    names[entry_name(CASES)] = names[entry_name(0)]


def drop_run(names: dict[str, bytes]) -> None:
    del names[f"runs/{ORIGINAL.run(1)}"]


def swap_runs(names: dict[str, bytes]) -> None:
    swap(names, f"runs/{ORIGINAL.run(0)}", f"runs/{ORIGINAL.run(1)}")


def cut_end(names: dict[str, bytes]) -> None:
    del names[entry_name(2)], names[checkpoint_name(3)]


def foreign_head(names: dict[str, bytes]) -> None:
    other = sealed_ledger().store.named
    names[checkpoint_name(3)] = other[checkpoint_name(3)]


def strangers_head(names: dict[str, bytes]) -> None:
    other = sealed_ledger(new_signer()).store.named
    names[checkpoint_name(2)] = other[checkpoint_name(2)]


def gap_in_entries(names: dict[str, bytes]) -> None:
    names[entry_name(77)] = names[entry_name(0)]


def wrong_index(names: dict[str, bytes]) -> None:
    name = f"runs/{ORIGINAL.run(1)}"
    names[name] = names[name].replace(b'index":1', b'index":2')


def rewritten_index(names: dict[str, bytes]) -> None:
    name = f"runs/{ORIGINAL.run(1)}"
    names[name] = names[name].replace(b":1,", b": 1,")


def other_leaf(names: dict[str, bytes]) -> None:
    name = next(name for name in names if name.startswith("ledger/leaves/"))
    names[name] = b"2"


def lost_leaf(names: dict[str, bytes]) -> None:
    del names[next(name for name in names if name.startswith("ledger/leaves/"))]


def stray_leaf(names: dict[str, bytes]) -> None:
    names["ledger/leaves/" + "0" * 64] = b"1"


def other_statement(names: dict[str, bytes]) -> None:
    names[f"statements/{ORIGINAL.run(1)}"] = ORIGINAL.seals[0].statement.encode()


def other_record(names: dict[str, bytes]) -> None:
    names[f"records/{ORIGINAL.run(1)}"] = ORIGINAL.cases[0].record.subject.encode()


def garbage_run(names: dict[str, bytes]) -> None:
    names["runs/run-x"] = b"garbage"


def all_gone(names: dict[str, bytes]) -> None:
    for name in [name for name in names if name.startswith("ledger/")]:
        del names[name]


Attack = Callable[[dict[str, bytes]], None]
ATTACKS: dict[Attack, tuple[str, ...]] = {
    drop_entry: (entry_name(1), "dropped"),
    change_entry: (entry_name(1), "changed"),
    double_entry: (entry_name(3), entry_name(0), "doubled"),
    lambda names: swap(names, entry_name(0), entry_name(1)): (entry_name(0), "changed"),
    lambda names: swap(names, checkpoint_name(1), checkpoint_name(2)): (
        checkpoint_name(1),
        "is the checkpoint of size 2",
    ),
    lambda names: names.pop(checkpoint_name(2)): (checkpoint_name(2), "missing"),  # type: ignore[dict-item]  # the popped bytes go nowhere
    drop_run: (f"runs/{ORIGINAL.run(1)} is missing", entry_name(1)),
    swap_runs: (ORIGINAL.run(0), "swapped", "subject digest mismatch"),
    cut_end: (f"runs/{ORIGINAL.run(2)}", "rolled back"),
    foreign_head: (checkpoint_name(3), "logs were mixed"),
    strangers_head: (checkpoint_name(2), "nobody here trusts"),
    gap_in_entries: (entry_name(77), "no place"),
    wrong_index: (entry_name(2), "is not the entry of"),
    rewritten_index: (f"runs/{ORIGINAL.run(1)}", "canonical"),
    other_leaf: ("ledger/leaves/", "does not lead to entry"),
    lost_leaf: ("ledger/leaves/", "does not lead to entry"),
    stray_leaf: ("ledger/leaves/" + "0" * 64, "no place"),
    other_statement: (f"statements/{ORIGINAL.run(1)}", "sealed was"),
    other_record: (f"records/{ORIGINAL.run(1)}", "no run record"),
    garbage_run: ("runs/run-x", "strict JSON"),
    all_gone: ("rolled back", f"runs/{ORIGINAL.run(0)}"),
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_each_attack_on_claims_is_named(attack: Attack) -> None:
    ledger = fresh()
    attack(ledger.store.named)
    whole = verify_all(ledger.store, TRUST)
    assert not whole.ok
    for word in ATTACKS[attack]:
        assert word in told(whole)
