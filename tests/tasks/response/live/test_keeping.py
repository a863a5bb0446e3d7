"""Results of live fire are kept signed, found again, and believed only by their signature."""

from pathlib import Path

from tasks.ledger.envelope import sign_envelope
from tasks.ledger.keys import make_key, open_signer
from tasks.response.live.scoring import improvements
from tasks.response.rehearsals import LIVE_TYPE, items, keep_live, last_live, live_results
from tests.simulators.store import MemoryStore
from tests.tasks.response.cases import world
from tests.tasks.response.live.fields import NOW, battle
from tests.tasks.response.live.results import DRILL, failed, result


def test_the_latest_result_that_verifies_is_the_last_one(tmp_path: Path) -> None:
    store, place = MemoryStore(), world(tmp_path)
    assert last_live(store, place.trust(), DRILL) is None
    old, new = result(1), result(30)
    for one in (new, old):
        first = keep_live(one, store=store, signer=place.signer())
        assert keep_live(one, store=store, signer=place.signer()) == first
    assert live_results(store, place.trust(), DRILL) == [old, new]
    claimed = {store.claimed(name) for name in store.claims(f"drills/live/{DRILL}/{new.name}/")}
    assert claimed == {digest.encode() for digest in new.evidence.values()}
    assert last_live(store, place.trust(), "live.leaked_key") is None
    _forge(store, tmp_path / "stranger")
    assert last_live(store, place.trust(), DRILL) == new


def test_what_was_missed_is_kept_as_work(tmp_path: Path) -> None:
    store, place = MemoryStore(), world(tmp_path)
    made = failed()
    found = tuple(improvements(battle().entry, made.objectives, NOW))
    keep_live(made.model_copy(update={"improvements": found}), store=store, signer=place.signer())
    (item,) = items(store)
    assert item.improvement.decision == "detected"
    assert item.closing is None


def _forge(store: MemoryStore, home: Path) -> None:
    """Keeps a later result under a stranger's signature, and one that is none at all."""
    home.mkdir()
    make_key(home)
    forged = result(60)
    envelope = sign_envelope(
        forged.canonical(), payload_type=LIVE_TYPE, signer=open_signer(None, home=home)
    )
    store.claim(f"drills/live/{DRILL}/{forged.name}", store.put(envelope).digest.encode())
    store.claim(f"drills/live/{DRILL}/drill-none", store.put(b"{}").digest.encode())
