"""Nights as evidence: resumed while open, signed once, and noticed when tampered with."""

from datetime import date
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from tasks.domain.digest import digest_of
from tasks.domain.errors import EvidenceError
from tasks.domain.night import AssetNight, Night
from tasks.ledger.entry import NIGHTS
from tasks.ledger.log import Log
from tasks.ledger.nights import open_night, read_night, seal_night
from tasks.ledger.trust import Trust
from tasks.ledger.verify import verify_all
from tests.simulators.store import MemoryStore
from tests.tasks.ledger.evidence import seal_case

SIGNER = CryptoSigner.generate_ed25519()
TRUST = Trust([SIGNER.public_key])
DAY = date(2026, 5, 1)


def night(name: str = "2026-05-01-01", **changed: Any) -> Night:
    row = AssetNight(asset="Acme/reader@1", tier="low", happened="unchanged", run="run-1")
    told: dict[str, Any] = {
        "night": name, "started": "2026-05-01T02:00:00Z", "ended": "2026-05-01T02:01:00Z",
        "alpha": 0.05, "code": digest_of(b"code"), "assets": (row,),
    }  # fmt: skip
    return Night.model_validate(told | changed)


def seal(store: MemoryStore, told: Night) -> int:
    return seal_night(told, store=store, signer=SIGNER, trust=TRUST).ledger_index


def test_an_open_night_goes_on_and_the_next_one_has_the_next_number() -> None:
    store = MemoryStore()
    opened = open_night(DAY, store, TRUST)
    assert (opened.name, opened.after) == ("2026-05-01-01", 0)
    assert open_night(DAY, store, TRUST) == opened
    seal(store, night())
    second = open_night(DAY, store, TRUST)
    assert (second.name, second.after) == ("2026-05-01-02", 1)
    assert open_night(date(2026, 5, 2), store, TRUST).name == "2026-05-02-01"


def test_where_a_night_began_stays_when_the_log_goes_on() -> None:
    store = MemoryStore()
    opened = open_night(DAY, store, TRUST)
    seal_case(store, SIGNER, 1)
    assert open_night(DAY, store, TRUST) == opened


def test_the_first_record_of_a_night_is_kept() -> None:
    store = MemoryStore()
    first = seal(store, night())
    assert seal(store, night(ended="2026-05-01T03:00:00Z")) == first
    kept = read_night("2026-05-01-01", store, TRUST)
    assert kept is not None
    assert kept.ended == "2026-05-01T02:01:00Z"
    verified = verify_all(store, TRUST)
    assert verified.ok, verified.problems
    assert (verified.ledger_size, verified.garbage) == (1, ())


def test_a_night_that_was_not_logged_is_not_over(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()

    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Log, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            seal(store, night())
    assert read_night("2026-05-01-01", store, TRUST) is None
    assert open_night(DAY, store, TRUST)[0] == "2026-05-01-01"
    seal(store, night(ended="2026-05-01T03:00:00Z"))
    assert read_night("2026-05-01-01", store, TRUST) is not None


def moved(store: MemoryStore) -> None:
    seal(store, night())
    store.named[f"{NIGHTS}2026-05-01-02"] = store.named[f"{NIGHTS}2026-05-01-01"]


def signed_by_a_stranger(store: MemoryStore) -> None:
    other = CryptoSigner.generate_ed25519()
    seal_night(night("2026-05-01-02"), store=store, signer=other, trust=Trust([other.public_key]))


@pytest.mark.parametrize("trick", [moved, signed_by_a_stranger])
def test_tampering_is_noticed(trick: Any) -> None:
    store = MemoryStore()
    trick(store)
    with pytest.raises(EvidenceError):
        read_night("2026-05-01-02", store, TRUST)
    assert not verify_all(store, TRUST).ok
