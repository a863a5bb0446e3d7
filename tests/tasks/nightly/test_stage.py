"""One asset's failure stops no other, a store that is away stops the night, and nights add up."""

from typing import Any

import pytest

from tasks.domain.errors import InvalidInputError, StoreNotAnsweringError
from tasks.domain.night import AssetNight
from tasks.domain.spec import RunPlan
from tasks.ledger.nights import nights
from tasks.nightly import stage
from tasks.nightly.looking import Look, Watch
from tasks.onboarding import plan_onboarding
from tests.tasks.nightly.nights import House

STARTED = "2026-05-01T02:00:00+00:00"


def looks(house: House, monkeypatch: pytest.MonkeyPatch, count: int = 3) -> list[Look]:
    """Assets that are all due, because the code that measures is another."""
    for number in range(count):
        house.onboard(str(number))
    monkeypatch.setattr("tasks.planning.code_digest", lambda: "sha256:" + "1" * 64)
    watch = Watch.open(house.here, after=0, alpha=0.05)
    found = [watch.look(asset) for asset in house.inventory.assets()]
    assert all(look.plan for look in found)
    return found


def test_one_asset_that_fails_stops_no_other(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    due = looks(house, monkeypatch)

    def run(plan: RunPlan, before: str) -> Any:
        if plan.asset.endswith("@1"):
            raise MemoryError("too big")
        record = house.seal(plan)
        return record, Watch.open(house.here, after=0, alpha=0.05).verified(before)

    monkeypatch.setattr(stage, "_run", run)
    rows = stage.renew_all(due, 0.05)
    assert [row.happened for row in rows] == ["reassessed", "failed", "reassessed"]
    assert rows[1].problem == "MemoryError: too big"
    document = stage.close_here("2026-05-01-01", STARTED, 0.05, rows)
    assert (document["reassessed"], document["failed"], document["unchanged"]) == (2, 1, 0)
    assert document["alarms"] == ["Acme/reader@1"]
    assert document["evidence"]["ledger_index"] == 5


def test_a_store_that_is_away_ends_the_night_unsigned(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = looks(house, monkeypatch, 1)

    def run(plan: RunPlan, before: str) -> Any:
        raise StoreNotAnsweringError("no answer in 60 s")

    monkeypatch.setattr(stage, "_run", run)
    with pytest.raises(StoreNotAnsweringError):
        stage.renew_all(due, 0.05)
    assert nights(house.store) == ()


def test_of_two_closings_the_first_counts(house: House) -> None:
    house.onboard()
    row = AssetNight(asset="Acme/reader@1", tier="low", happened="unchanged", run="run-1")
    first = stage.close_here("2026-05-01-01", STARTED, 0.05, [row])
    second = stage.close_here("2026-05-01-01", STARTED, 0.05, [row, row])
    assert (second["assets"], second["evidence"]) == (1, first["evidence"])


def test_a_batch_is_looked_at_where_it_lands(house: House) -> None:
    house.onboard("1")
    house.onboard("2")
    rows = [asset.model_dump(mode="json") for asset in house.inventory.assets()]
    found = [Look.model_validate(look) for look in stage.look_here(rows, 0, 0.05)]
    assert [look.row.happened for look in found] == ["unchanged", "unchanged"]


def test_a_plan_of_a_night_is_not_a_plan_of_onboarding(house: House) -> None:
    record = house.onboard()
    plan = plan_onboarding(record.subject, battery=None, tier=None, occasion="nightly").plan
    assert plan.run != record.run
    assert plan.checks == record.plan.checks


def test_a_zone_that_is_none_is_explained() -> None:
    with pytest.raises(InvalidInputError, match="is no time zone"):
        stage._zone("Mars/Olympus")
    assert str(stage._zone("Europe/Berlin")) == "Europe/Berlin"
