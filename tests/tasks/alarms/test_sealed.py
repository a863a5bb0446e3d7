"""Nights, drift and the registry raise alarms out of signed evidence, each only once."""

from datetime import UTC, datetime

import pytest

from tasks.alarms import stage as alarms
from tasks.alarms.outbox import Answer, alarm_names, keep_answer, known_alarm
from tasks.alarms.sealed import (
    alarm_of_drift,
    alarm_of_night,
    alarm_of_verification,
    alarm_of_version,
)
from tasks.domain.digest import digest_of
from tasks.domain.finding import Finding, Outcome
from tasks.domain.night import AssetNight, Change
from tasks.nightly import stage as nightly
from tests.tasks.inventory.records import finding, record
from tests.tasks.nightly.conftest import house
from tests.tasks.nightly.nights import House

__all__ = ["house"]  # a fixture, found by its name here
NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
PROOF = (digest_of(b"statement"),)


def row(**changed: object) -> AssetNight:
    told = {
        "asset": "Acme/reader@1", "tier": "low", "happened": "reassessed", "run": "run-2",
        "before": "run-1", "verdict": "accepted", "verdict_before": "accepted",
    }  # fmt: skip
    return AssetNight.model_validate(told | changed)


def change(check: str, before: str | None, after: str | None) -> Change:
    return Change.model_validate({"check": check, "before": before, "after": after})


def failing(check: str) -> Finding:
    return finding().model_copy(update={"check": check, "outcome": Outcome.FAIL})


@pytest.mark.parametrize(
    ("told", "kinds"),
    [
        (row(), None),
        (row(happened="failed", verdict="", problem="broken"), None),
        (row(changes=(change("privacy.membership", "fail", "pass"),)), None),
        (row(verdict="needs_review"), ()),
        (row(changes=(change("privacy.membership", "pass", "undecided"),)), ("privacy",)),
        (
            row(changes=(change("backdoor.twin_inversion", None, "fail"),
                         change("backdoor.trigger_inversion", "pass", "fail"))),
            ("backdoor",),
        ),
    ],
    ids=["same", "failed", "better", "verdict", "undecided", "backdoor"],
)  # fmt: skip
def test_what_reassures_less_is_an_alarm_with_its_families(
    told: AssetNight, kinds: tuple[str, ...] | None
) -> None:
    found = alarm_of_night(told, record(), PROOF)
    if kinds is None:
        assert found is None
        return
    assert found is not None
    assert (found.trigger, found.kinds) == ("assessment.verdict_worse", kinds)
    assert (found.run, found.evidence) == ("run-2", PROOF)
    assert found.detected.isoformat() == "2026-01-01T00:01:00+00:00", "when it was sealed"


def test_a_dataset_raises_its_own_trigger() -> None:
    of_data = record()
    plan = of_data.plan.model_copy(update={"policy": "dataset.low"})
    found = alarm_of_night(row(verdict="refused"), of_data.model_copy(update={"plan": plan}), PROOF)
    assert found is not None
    assert found.trigger == "dataset.verdict_worse"


def test_drift_that_lasts_is_one_alarm() -> None:
    assert alarm_of_drift(record(), PROOF) is None
    moved = record(findings=(failing("drift.watch"),), asset="Drift watch/orders@reference-1")
    first = alarm_of_drift(moved, PROOF, asset="Acme/reader@1")
    later = alarm_of_drift(
        moved.model_copy(update={"run": "run-9", "sealed": "2026-02-01T00:00:00Z"}), PROOF
    )
    assert first is not None
    assert later is not None
    assert (first.kinds, first.asset) == (("watch",), "Acme/reader@1")
    assert first.name == later.name


def test_evidence_and_versions_that_do_not_verify_are_alarms_by_what_is_wrong() -> None:
    assert alarm_of_verification([], NOW) is None
    one, other = alarm_of_verification(["b", "a"], NOW), alarm_of_verification(["a", "b"], NOW)
    assert one is not None
    assert other is not None
    assert one.name == other.name
    later = alarm_of_version("Acme/reader@1", "no trusted key", NOW.replace(year=2027))
    assert alarm_of_version("Acme/reader@1", "no trusted key", NOW).name == later.name
    assert later.trigger == "registry.signature_invalid"


def test_a_signed_night_raises_each_alarm_once_also_when_it_died_before(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarms, "services", lambda: house.here)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    first = house.onboard()
    worse = row(
        asset=first.asset, run=first.run, before=first.run,
        changes=(change("privacy.membership", "pass", "fail"),),
    )  # fmt: skip
    nightly.close_here("2026-05-01-01", "2026-05-01T02:00:00+00:00", 0.05, [worse])  # and died
    nightly.close_here(
        "2026-05-02-01", "2026-05-02T02:00:00+00:00", 0.05, [row(happened="unchanged")]
    )
    for _ in range(3):
        alarms.raise_alarms_of_nights()
    (name,) = alarm_names(house.store, waiting=True)
    kept = known_alarm(name, house.store)
    assert kept.incident().run == first.run
    assert len(kept.evidence) == 2, "of the run and of the night"
    keep_answer(name, Answer(), house.store)
    alarms.raise_alarms_of_nights()
    assert list(alarm_names(house.store, waiting=True)) == []
