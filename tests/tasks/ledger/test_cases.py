"""A closed case is signed: whatever is done to its events afterwards is found."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.domain.digest import digest_of
from tasks.domain.errors import EvidenceError
from tasks.inventory.database import Inventory
from tasks.ledger.cases import closings, seal_closing
from tasks.ledger.entry import CASE_CLOSINGS
from tasks.ledger.verify import Verification, verify_all
from tasks.response.acting import World
from tasks.response.following import Following, follow, tell, undo
from tests.simulators.store import MemoryStore
from tests.tasks.response.cases import following, world


@pytest.fixture
def work(tmp_path: Path) -> Following:
    """A case that was followed to its end."""
    made = following(world(tmp_path), facts={"hostile": False})
    follow(made, by="Eve")
    tell(made, by="Eve", step="declare", detail="seen")
    follow(made, by="Eve")
    tell(made, by="Eve", step="review", detail="held")
    assert list(claimed(made.world)) == [], "nothing is signed while the case is open"
    assert follow(made, by="Eve").closed
    return made


def claimed(place: World) -> list[str]:
    return list(place.store.claims(CASE_CLOSINGS))


def verified(place: World) -> Verification:
    return verify_all(place.store, place.trust())


def store_of(place: World) -> MemoryStore:
    assert isinstance(place.store, MemoryStore)
    return place.store


def test_what_was_closed_verifies_and_is_signed_once(work: Following) -> None:
    place = work.world
    found = verified(place)
    assert (found.ok, found.problems, found.ledger_size) == (True, (), 1)
    (one,) = closings(place.store, place.trust())
    assert one.closing is not None
    assert len(one.closing.events) == len(work.state().events)
    follow(work, by="Eve")
    assert len(claimed(place)) == 1
    assert verified(place).ledger_size == 1


def changed(place: World, case: str) -> None:
    name = f"cases/{case}/000001"
    named = store_of(place).named
    assert b"seen" in named[name]
    named[name] = named[name].replace(b"seen", b"sewn")


def removed(place: World, case: str) -> None:
    del store_of(place).named[f"cases/{case}/000003"]


def swapped(place: World, case: str) -> None:
    named, first, second = store_of(place).named, f"cases/{case}/000001", f"cases/{case}/000002"
    named[first], named[second] = named[second], named[first]


def added(place: World, case: str) -> None:
    named = store_of(place).named
    count = sum(name.startswith(f"cases/{case}/0") for name in named)
    last = named[f"cases/{case}/{count - 1:06d}"]
    number = f'"number":{count - 1}'.encode()
    assert number in last
    named[f"cases/{case}/{count:06d}"] = last.replace(number, f'"number":{count}'.encode())


def head_changed(place: World, case: str) -> None:
    named = store_of(place).named
    named[f"cases/{case}/head"] = named[f"cases/{case}/head"].replace(b"false", b"true")


def unsigned(place: World, case: str) -> None:
    (claim,) = claimed(place)
    del store_of(place).named[claim]


def signed_by_nobody(place: World, case: str) -> None:
    for key in (place.home / "keys" / "trusted").iterdir():
        key.unlink()


def incident_gone(place: World, case: str) -> None:
    store, named = store_of(place), store_of(place).named
    digest = next(one for one in store.objects if one.encode() in named[f"cases/{case}/head"])
    del store.objects[digest]


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (changed, "event 1 of case-"),
        (removed, "event 3 of case-"),
        (swapped, "event 1 of case-"),
        (added, "events after the"),
        (head_changed, "the head of case-"),
        (unsigned, "is missing, though"),
        (signed_by_nobody, "nobody here trusts"),
        (incident_gone, "case-"),
    ],
)
def test_tampering_is_found(work: Following, harm: Callable[[World, str], None], told: str) -> None:
    harm(work.world, work.name)
    found = verified(work.world)
    assert not found.ok
    assert any(told in problem for problem in found.problems), found.problems


def test_what_is_undone_after_the_end_is_signed_anew(work: Following) -> None:
    undo(work, "quarantine", by="Eve")
    assert not verified(work.world).ok, "not yet followed once more"
    follow(work, by="Eve")
    assert len(claimed(work.world)) == 2
    assert verified(work.world).ok
    assert Inventory(work.world.database).asset(work.incident.asset) is not None
    changed(work.world, work.name)
    assert not verified(work.world).ok


def test_a_dry_run_is_no_evidence(tmp_path: Path) -> None:
    made = following(world(tmp_path), dry_run=True)
    assert follow(made, by="Eve").closed
    assert claimed(made.world) == []


def test_a_case_that_is_not_there_is_not_signed(tmp_path: Path) -> None:
    place = world(tmp_path)
    with pytest.raises(EvidenceError, match="has no event"):
        seal_closing(
            "case-" + digest_of(b"").removeprefix("sha256:")[:20],
            store=place.store, signer=place.signer(), trust=place.trust(),
        )  # fmt: skip
