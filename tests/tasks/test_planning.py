from typing import Any

import pytest

from tasks import planning
from tasks.catalog.reading import Catalog
from tasks.domain.bundle import Subject
from tasks.domain.digest import digest_of
from tasks.domain.errors import CatalogError
from tasks.domain.finding import RiskTier
from tasks.domain.spec import RunPlan
from tasks.planning import GATEKEEPERS, plan_run, waves
from tests.simulators.store import MemoryStore
from tests.simulators.subjects import linear_subject, linear_weights

STORE = MemoryStore()
SUBJECT = linear_subject(STORE)


def plan(subject: Subject = SUBJECT, **changes: Any) -> RunPlan:
    settings: dict[str, Any] = {
        "catalog": Catalog(),
        "tier": RiskTier.MEDIUM,
        "battery": None,
        "sandbox": "L3",
        "seed": 7,
    }
    return plan_run(subject, digest_of(subject.canonical()), **(settings | changes))


def test_equal_inputs_are_the_same_run() -> None:
    assert plan().canonical() == plan().canonical()
    assert plan(linear_subject(MemoryStore())).run == plan().run


@pytest.mark.parametrize(
    "changes",
    [
        {"attempt": 2},
        {"battery": "thorough"},
        {"tier": RiskTier.HIGH},
        {"sandbox": "L2"},
        {"seed": 8},
        {"occasion": "renewal"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_changed_setting_is_another_run(changes: dict[str, Any]) -> None:
    assert plan(**changes).run != plan().run


def test_changed_code_is_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    before = plan()
    monkeypatch.setattr(planning, "code_digest", lambda: digest_of(b"other code"))
    after = plan()
    assert after.run != before.run
    assert {spec.digest for spec in after.checks}.isdisjoint(spec.digest for spec in before.checks)


def test_changed_weights_are_another_run() -> None:
    assert plan(linear_subject(STORE, weights=linear_weights(2.0))).run != plan().run


def test_a_new_attempt_measures_nothing_anew() -> None:
    # Specs stay equal, so what was measured once is found again.
    assert plan(attempt=2).checks == plan().checks


@pytest.mark.parametrize("tier", RiskTier)
def test_a_plan_follows_the_policy_of_its_tier(tier: RiskTier) -> None:
    made = plan(tier=tier)
    policy = Catalog().policy_for(tier)
    battery = Catalog().battery(policy.battery)
    assert (made.policy, made.battery) == (policy.id, battery.id)
    assert [spec.check for spec in made.checks] == [one.check for one in battery.checks]


def test_gatekeepers_stand_between_the_plan_and_all_that_opens_the_model() -> None:
    made, catalog = plan(), Catalog()
    sorted_ = waves(made, catalog)
    assert [spec.check for spec in sorted_.gatekeepers] == [*GATEKEEPERS]
    assert {catalog.check(spec.check).needs.target for spec in sorted_.apart} == {"none"}
    assert all(catalog.check(spec.check).needs.target != "none" for spec in sorted_.opening)


def test_no_check_is_lost_or_doubled_by_sorting() -> None:
    made = plan()
    assert sorted(spec.check for wave in waves(made, Catalog()) for spec in wave) == sorted(
        spec.check for spec in made.checks
    )


def test_the_longest_check_starts_first() -> None:
    catalog = Catalog()
    for wave in (waves(plan(), catalog).apart, waves(plan(), catalog).opening):
        seconds = [catalog.check(spec.check).typical_seconds for spec in wave]
        assert seconds == sorted(seconds, reverse=True)
        assert len(set(seconds)) > 1  # an order to be wrong about


def test_gatekeepers_are_in_every_battery_that_opens_the_model() -> None:
    catalog = Catalog()
    for name in catalog.ids("batteries"):
        checks = {one.check for one in catalog.battery(name).checks}
        opens = any(catalog.check(check).needs.target != "none" for check in checks)
        # Batteries of drift look at sketches that our own readers made: there is no file to scan.
        assert GATEKEEPERS[0] in checks or name.startswith("drift."), name
        assert set(GATEKEEPERS) <= checks or not opens, name


def test_an_unknown_battery_is_refused() -> None:
    with pytest.raises(CatalogError, match=r"none\.such"):
        plan(battery="none.such")
