"""From shots and sightings to numbers, objectives and work to do: what was not contained fails."""

import dataclasses
from typing import Any

import pytest

from tasks.domain.live_drill import LiveResult, Objective
from tasks.response.case_state import Standing
from tasks.response.live.battle import Battle, Proof
from tasks.response.live.scoring import Measured, improvements, measured, objectives
from tests.tasks.response.live.fields import NOW, FakeLine, battle, shots, sighting

GOOD = Measured("coverage_growth@25", 4.0, 1.0, 100, None, 200, 0, 0)
HELD = {"accounts_refused": Proof(held=True, said="all refused")}


class FakeCase:
    """A case whose steps all stand alike."""

    name = "case-1"

    def __init__(self, standing: Standing = Standing.DONE, *, closed: bool = True) -> None:
        self._standing, self.closed = standing, closed
        self.playbook = self

    steps: tuple[Any, ...] = ()

    def state(self) -> "FakeCase":
        return self

    def step(self, step_id: str) -> str:
        return step_id

    def standing(self, _: str) -> Standing:
        return self._standing


def fought(case: FakeCase | None = None) -> Battle:
    return battle(cases=[case or FakeCase()])


def judged(
    found: Measured = GOOD, proofs: dict[str, Proof] = HELD, fight: Battle | None = None
) -> tuple[Objective, ...]:
    return tuple(objectives(fight or fought(), found, proofs))


def result(all_: tuple[Objective, ...]) -> LiveResult:
    return LiveResult(
        drill="live.extraction_by_three_accounts", version=1, entry="sha256:" + "0" * 64,
        playbook="sha256:" + "1" * 64, team="t", held=NOW, faster=1, objectives=all_,
    )  # fmt: skip


def missed(all_: tuple[Objective, ...]) -> set[str]:
    return {one.name for one in all_ if not one.held}


def test_when_everything_held_it_is_passed() -> None:
    made = result(judged())
    assert missed(made.objectives) == set()
    assert made.contained
    assert made.passed
    assert made.score == 1


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"detected_by": "", "to_detect": None}, "detected"),
        ({"detected_by": "flood@25"}, "detected"),
        ({"to_contain": None}, "seconds from detection to containment"),
        ({"to_contain": 5.01}, "seconds from detection to containment"),
        ({"leaked": 601}, "leaked queries"),
        ({"refused": 3}, "share of honest requests refused"),
        ({"benign": 0}, "share of honest requests refused"),
    ],
)
def test_each_limit_is_missed_by_its_own_number(change: dict[str, Any], name: str) -> None:
    made = result(judged(GOOD._replace(**change)))
    assert missed(made.objectives) == {name}
    assert not made.passed


def test_a_containment_that_does_not_hold_scores_nothing() -> None:
    made = result(judged(proofs={"accounts_refused": Proof(held=False, said="still answered")}))
    assert missed(made.objectives) == {"proof: accounts refused"}
    assert (made.contained, made.passed, made.score) == (False, False, 0)


def test_a_step_that_was_not_done_is_no_containment() -> None:
    for case in (FakeCase(Standing.WAITING), None):
        fight = battle(cases=[case] if case else [])
        assert not result(judged(fight=fight)).contained


def test_a_case_that_stays_open_was_not_followed() -> None:
    made = result(judged(fight=fought(FakeCase(closed=False))))
    assert missed(made.objectives) == {"playbook followed"}
    assert made.contained


def test_no_objective_at_all_is_no_containment() -> None:
    assert not result(()).contained
    assert not result(()).passed


def test_what_was_missed_becomes_work_with_an_owner_and_a_day() -> None:
    fight = fought()
    made = judged(GOOD._replace(leaked=900), {"accounts_refused": Proof(held=False, said="no")})
    found = {one.decision: one for one in improvements(fight.entry, made, NOW)}
    assert {name: item.severity for name, item in found.items()} == {
        "proof: accounts refused": "high", "leaked queries": "medium",
    }  # fmt: skip
    assert {item.owner for item in found.values()} == {"SOC analyst"}
    assert "900, at most 600" in found["leaked queries"].lesson


def test_containment_is_measured_by_the_last_answer_of_the_slowest_account() -> None:
    fight = battle(
        lines=[FakeLine("a", [True]), FakeLine("b", [True])],
        sightings=[sighting(3, "a"), sighting(4, "b")],
    )
    fight.record.attack = [*shots("a", [1, 2, 3.5], [4]), *shots("b", [1, 5.5], [6])]
    fight.record.benign = [*shots("c", [-1, 1, 2]), *shots("d", [3], [4])]
    found = measured(fight)
    assert found.to_detect == 3
    assert found.to_contain == pytest.approx(1.5)
    assert found.leaked == 5
    assert (found.benign, found.refused, found.hurt) == (4, 1, 1)


def test_an_account_that_nobody_noticed_is_not_contained() -> None:
    fight = battle(
        lines=[FakeLine("a", [True]), FakeLine("b", [True])], sightings=[sighting(3, "a")]
    )
    fight.record.attack = [*shots("a", [1]), *shots("b", [1])]
    assert measured(fight).to_contain is None


def test_an_attack_without_accounts_is_contained_when_its_shots_stop_to_work() -> None:
    fight = battle("trojaned_model_drop", sightings=[sighting(2, by="backdoor.trigger_inversion")])
    fight.record.attack = shots("visitor", [1, 3.25], [4, 5])
    found = measured(fight)
    assert found.to_contain == pytest.approx(1.25)
    assert found.leaked is None


def test_without_a_sighting_nothing_was_contained() -> None:
    fight = battle("tampered_evidence")
    assert measured(fight).to_contain is None
    assert measured(dataclasses.replace(fight, sightings=[sighting(1)])).to_contain is None
