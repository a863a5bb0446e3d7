"""Moves between aliases: repeatable, one winner in every race, healed after a crash."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.domain.errors import ConflictError, InvalidInputError, SigningError
from tasks.domain.finding import Verdict
from tasks.domain.measurement import Observation
from tasks.domain.promotion import Move
from tasks.domain.severity import Severity
from tasks.ledger.keys import open_signer, trusted_keys
from tasks.ledger.log import Log
from tasks.ledger.promotions import PromotionLog
from tasks.ledger.verify import verify_all
from tasks.registry.registering import Why, promote, register, roll_back, withdraw
from tasks.registry.serving import UnsignedModelError, accepted_model
from tasks.registry.state import model_state
from tests.tasks.registry.homes import MODEL, Home

WHY = Why("a test", by="tester")
ONE, TWO, THREE = (f"{MODEL}@{n}" for n in (1, 2, 3))


def entered(home: Home, *versions: str) -> None:
    for version in versions:
        register(home.seal(version).run, home.registry, WHY)


def test_registering_twice_is_one_move(home: Home) -> None:
    record = home.seal()
    first = register(record.run, home.registry, WHY)
    again = register(record.run, home.registry, WHY)
    assert first is not None
    assert again is not None
    assert (len(again.links), again.held) == (1, {"candidate": ONE})


def test_a_later_acceptance_of_the_same_bytes_is_no_new_version(home: Home) -> None:
    entered(home, "1")
    learnt = Observation(rule="provenance.x.y", severity=Severity.LOW, detail="known today")
    today = home.subject().model_copy(update={"observations": (learnt,)})
    for record in (home.seal(occasion="nightly"), home.seal(occasion="nightly", subject=today)):
        state = register(record.run, home.registry, WHY)
        assert state is not None
        assert len(state.links) == 1


def test_refused_models_and_unknown_runs_are_not_registered(home: Home) -> None:
    refused = home.seal(verdict=Verdict.REFUSED)
    assert register(refused.run, home.registry, WHY) is None
    assert model_state(MODEL, home.registry).links == ()
    with pytest.raises(InvalidInputError, match="No sealed run"):
        register("run-0", home.registry, WHY)


def test_versions_pass_through_the_aliases_and_hold_one_at_a_time(home: Home) -> None:
    entered(home, "1")
    promote(ONE, "canary", home.registry, WHY)
    state = promote(ONE, "champion", home.registry, WHY)
    assert state.held == {"champion": ONE}
    entered(home, "2")
    state = promote(TWO, "canary", home.registry, WHY)
    assert state.held == {"champion": ONE, "canary": TWO}
    assert promote(TWO, "canary", home.registry, WHY).links == state.links
    state = promote(TWO, "champion", home.registry, WHY)
    assert state.held == {"champion": TWO}
    assert accepted_model(f"{MODEL}@champion", home.registry).asset == TWO
    assert [link.move.action for link in state.links] == [
        "register", "promote", "promote", "register", "promote", "promote",
    ]  # fmt: skip
    verified = verify_all(home.store, trusted_keys(home.path))
    assert verified.ok, verified.problems
    assert verified.garbage == ()


def test_only_what_may_be_loaded_is_promoted(home: Home) -> None:
    entered(home, "1")
    with pytest.raises(UnsignedModelError, match="not registered"):
        promote(TWO, "canary", home.registry, WHY)
    withdraw(ONE, home.registry, WHY)
    with pytest.raises(UnsignedModelError, match="withdrawn"):
        promote(ONE, "canary", home.registry, WHY)
    with pytest.raises(InvalidInputError):
        promote(ONE, "candidate", home.registry, WHY)


def test_a_rollback_goes_to_the_last_champion_that_may_be_loaded(home: Home) -> None:
    for version in (ONE, TWO, THREE):
        entered(home, version.rpartition("@")[2])
        promote(version, "champion", home.registry, WHY)
    withdraw(TWO, home.registry, WHY)
    state = roll_back(MODEL, home.registry, Why("it drifts", by="tester"))
    assert state.held == {"champion": ONE}
    assert state.links[-1].move.leaves == THREE
    with pytest.raises(UnsignedModelError, match="it drifts"):
        accepted_model(THREE, home.registry)
    with pytest.raises(InvalidInputError, match="no earlier champion"):
        roll_back(MODEL, home.registry, WHY)


def test_a_repeated_rollback_does_not_go_back_twice(home: Home) -> None:
    for version in (ONE, TWO, THREE):
        entered(home, version.rpartition("@")[2])
        promote(version, "champion", home.registry, WHY)
    for _ in range(3):
        state = roll_back(MODEL, home.registry, WHY, leaving=THREE)
    assert state.held == {"champion": TWO}


def test_without_a_champion_there_is_nothing_to_roll_back(home: Home) -> None:
    entered(home, "1")
    with pytest.raises(InvalidInputError, match="has no champion"):
        roll_back(MODEL, home.registry, WHY)
    with pytest.raises(InvalidInputError, match="is not registered"):
        withdraw(TWO, home.registry, WHY)


def test_a_withdrawn_version_comes_back_with_a_new_run_only(home: Home) -> None:
    entered(home, "1")
    withdraw(ONE, home.registry, WHY)
    record = home.seal()
    assert register(record.run, home.registry, WHY) is not None
    with pytest.raises(UnsignedModelError, match="withdrawn"):
        accepted_model(ONE, home.registry)
    register(home.seal(occasion="again").run, home.registry, WHY)
    assert accepted_model(ONE, home.registry).alias == "candidate"


def test_of_many_writers_every_move_is_kept_once(home: Home) -> None:
    runs = [home.seal(str(number)).run for number in range(1, 5)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda run: register(run, home.registry, WHY), runs * 2))
    state = model_state(MODEL, home.registry)
    assert sorted(one.asset for one in state.versions) == [f"{MODEL}@{n}" for n in range(1, 5)]
    assert [link.promotion.number for link in state.links] == [0, 1, 2, 3]
    assert verify_all(home.store, trusted_keys(home.path)).ok


def test_who_always_loses_says_so(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    entered(home, "1")
    monkeypatch.setattr(PromotionLog, "append", lambda *_, **__: None)
    with pytest.raises(ConflictError, match="moved by others"):
        promote(ONE, "canary", home.registry, WHY)


def test_a_move_whose_writer_died_counts_once_it_is_healed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered(home, "1")

    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Log, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            promote(ONE, "canary", home.registry, WHY)
    assert model_state(MODEL, home.registry).held == {"candidate": ONE}
    state = promote(ONE, "champion", home.registry, WHY)
    assert [link.move.alias for link in state.links] == ["candidate", "canary", "champion"]
    assert verify_all(home.store, trusted_keys(home.path)).ok


def test_a_key_that_nobody_trusts_moves_nothing(home: Home) -> None:
    entered(home, "1")
    stranger = open_signer(None, home=home.path)
    for path in (home.path / "keys" / "trusted").glob("*.pem"):
        path.unlink()
    log = PromotionLog(home.store, trusted_keys(home.path), stranger)
    link: Move = Move.model_validate(
        {
            "action": "withdraw", "alias": "candidate", "asset": ONE, "run": "run-1",
            "statement": "sha256:" + "0" * 64, "subject": "sha256:" + "0" * 64,
            "reason": "x", "by": "x", "issued": "2026-01-01T00:00:00Z",
        }
    )  # fmt: skip
    with pytest.raises(SigningError, match="not trusted here"):
        log.append(MODEL, link, after=1)
