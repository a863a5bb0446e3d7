import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.catalog.schema import Gate
from tasks.domain.errors import CatalogError
from tasks.domain.estimate import Estimate
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Control, Measurement, Status
from tasks.domain.severity import Severity
from tasks.judging.gates import judge
from tests.tasks.judging.cases import ABOVE, BELOW, SEEN, entry, measured, seen

MISSED = Control(name="planted trigger", planted=True, found=False)
ACCUSED = Control(name="honest twin", planted=False, found=True)
HELD = (Control(name="a", planted=True, found=True), Control(name="b", planted=False, found=False))


@pytest.mark.parametrize(
    ("gate", "low", "high", "outcome"),
    [
        (ABOVE, 0.6, 0.8, Outcome.PASS),
        (ABOVE, 0.5, 0.8, Outcome.PASS),
        (ABOVE, 0.4, 0.6, Outcome.UNDECIDED),
        (ABOVE, 0.2, 0.4, Outcome.FAIL),
        (ABOVE, 0.2, 0.5, Outcome.UNDECIDED),
        (BELOW, 0.2, 0.4, Outcome.PASS),
        (BELOW, 0.4, 0.5, Outcome.PASS),
        (BELOW, 0.4, 0.6, Outcome.UNDECIDED),
        (BELOW, 0.6, 0.8, Outcome.FAIL),
        (BELOW, 0.5, 0.8, Outcome.UNDECIDED),
    ],
)
def test_an_interval_gate_answers_by_the_whole_interval(
    gate: Gate, low: float, high: float, outcome: Outcome
) -> None:
    assert judge(entry(gate), measured(low, high)).outcome is outcome


@pytest.mark.parametrize(
    ("threshold", "outcome"),
    [(0.5, Outcome.PASS), (0.7, Outcome.UNDECIDED), (0.9, Outcome.FAIL), (0.0, Outcome.PASS)],
)
def test_a_policy_may_replace_the_threshold(threshold: float, outcome: Outcome) -> None:
    found = judge(entry(), measured(), threshold=threshold)
    assert (found.outcome, found.threshold) == (outcome, threshold)


def test_a_finding_tells_its_numbers_and_where_they_come_from() -> None:
    found = judge(entry(), measured(0.2, 0.4))
    for word in ("0.3", "0.2 to 0.4", "n = 100", "95 %", "at least 0.5", "Counted twice."):
        assert word in found.detail
    assert found.estimate == measured(0.2, 0.4).estimates["rate"]
    assert (found.severity, found.remediation) == (Severity.HIGH, "Mend what the check found.")
    assert found.references.atlas == ("AML.T0043",)
    assert judge(entry(), measured(0.2, 0.4), severity=Severity.LOW).severity is Severity.LOW


def test_a_counted_number_is_told_without_an_interval() -> None:
    exact = measured(estimates={"rate": Estimate.exact(0.75, n=4)})
    assert "counted completely, n = 4" in judge(entry(), exact).detail


def test_a_pass_is_info_and_asks_for_nothing() -> None:
    found = judge(entry(), measured(), severity=Severity.CRITICAL)
    assert (found.severity, found.remediation) == (Severity.INFO, "")


@pytest.mark.parametrize(
    "doubt", [{"alarms": ("gradients vanish",)}, {"controls": (MISSED,)}, {"controls": (ACCUSED,)}]
)
@pytest.mark.parametrize("gate", [ABOVE, SEEN])
def test_a_pass_with_a_doubt_is_undecided(gate: Gate, doubt: dict[str, Any]) -> None:
    found = judge(entry(gate), measured(**doubt))
    assert found.outcome is Outcome.UNDECIDED
    assert found.severity is Severity.HIGH
    assert re.search("gradients vanish|planted trigger was not found|honest twin", found.detail)


@pytest.mark.parametrize("doubt", [{"alarms": ("gradients vanish",)}, {"controls": (MISSED,)}])
def test_a_failure_is_a_witness_and_stands(doubt: dict[str, Any]) -> None:
    assert judge(entry(), measured(0.1, 0.2, **doubt)).outcome is Outcome.FAIL
    bad = measured(observations=(seen(Severity.HIGH),), **doubt)
    assert judge(entry(SEEN), bad).outcome is Outcome.FAIL


def test_a_method_that_accuses_the_innocent_convicts_nobody() -> None:
    found = judge(entry(), measured(0.1, 0.2, controls=(ACCUSED,)))
    assert found.outcome is Outcome.UNDECIDED
    assert "honest twin is innocent" in found.detail


def test_controls_that_held_change_nothing() -> None:
    assert judge(entry(), measured(controls=HELD)).outcome is Outcome.PASS
    assert judge(entry(), measured(0.1, 0.2, controls=HELD)).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (Status.NOT_APPLICABLE, Outcome.NOT_APPLICABLE),
        (Status.NOT_AVAILABLE, Outcome.NOT_AVAILABLE),
        (Status.ERROR, Outcome.ERROR),
    ],
)
def test_what_was_not_measured_never_passes(status: Status, outcome: Outcome) -> None:
    found = judge(entry(), measured(status=status, estimates={}, detail="No training data."))
    assert (found.outcome, found.detail) == (outcome, "No training data.")


def test_a_missing_estimate_is_an_error() -> None:
    found = judge(entry(), measured(estimates={"other": Estimate.exact(1.0, n=1)}))
    assert found.outcome is Outcome.ERROR
    assert "no estimate called rate (it gave: other)" in found.detail


def test_an_observations_gate_fails_with_the_worst_and_lists_a_few() -> None:
    facts = (
        seen(Severity.LOW, "low.rule"),
        *(seen(Severity.MEDIUM, f"medium.rule{i}") for i in range(4)),
        seen(Severity.CRITICAL, "worst.rule"),
    )
    found = judge(entry(SEEN), measured(observations=facts, estimates={}))
    assert (found.outcome, found.severity) == (Outcome.FAIL, Severity.CRITICAL)
    assert found.detail.index("worst.rule") < found.detail.index("medium.rule0")
    assert "and 2 more" in found.detail
    assert "low.rule" not in found.detail


def test_small_observations_are_told_but_do_not_fail() -> None:
    found = judge(entry(SEEN), measured(observations=(seen(Severity.LOW),), estimates={}))
    assert found.outcome is Outcome.PASS
    assert "a.rule (low) at a/file" in found.detail
    assert "clean" not in found.detail


@pytest.mark.parametrize("other", [{"check": "family.other"}, {"version": 3}])
def test_a_measurement_of_something_else_is_not_judged(other: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="cannot be judged by the entry of"):
        judge(entry(), measured(**other))


def test_a_threshold_for_observations_is_a_broken_policy() -> None:
    with pytest.raises(CatalogError, match="Remove the threshold"):
        judge(entry(SEEN), measured(), threshold=0.5)


ENDS = st.floats(0, 1).map(lambda end: round(end, 3))


@given(st.tuples(ENDS, ENDS), ENDS, st.sampled_from([ABOVE, BELOW]), st.booleans(), st.booleans())
def test_doubt_never_reassures(
    ends: tuple[float, float], threshold: float, gate: Gate, alarmed: bool, accused: bool
) -> None:
    low, high = sorted(ends)
    doubt: dict[str, Any] = {
        "alarms": ("doubt",) if alarmed else (),
        "controls": (ACCUSED,) if accused else (),
    }
    sure = judge(entry(gate), measured(low, high), threshold=threshold)
    unsure = judge(entry(gate), measured(low, high, **doubt), threshold=threshold)
    assert unsure.outcome in {sure.outcome, Outcome.UNDECIDED}
    if alarmed or accused:
        assert unsure.outcome is not Outcome.PASS


@given(ENDS, ENDS)
def test_both_directions_are_mirrors(one: float, two: float) -> None:
    low, high = min(one, two), max(one, two)
    mirrored: Measurement = measured(1 - high, 1 - low)
    assert judge(entry(ABOVE), measured(low, high)).outcome is judge(entry(BELOW), mirrored).outcome
