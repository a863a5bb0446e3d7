"""Gates: one measurement against one threshold, with three answers. Pure: no input, no output.

PASS when the whole interval is on the good side, FAIL when it is on the bad side, else UNDECIDED
(methods notes, sections 0 and 9). A reassuring number counts only if nothing speaks against the
method that found it; a failure is a witness and stands, unless the method also accused a control
that was known to be innocent.
"""

from typing import NamedTuple

from tasks.catalog.schema import CheckEntry, IntervalGate, ObservationsGate
from tasks.domain.digest import DigestField
from tasks.domain.errors import CatalogError
from tasks.domain.estimate import Estimate
from tasks.domain.finding import Finding, Outcome
from tasks.domain.measurement import Measurement, Observation, Status
from tasks.domain.severity import Severity

UNMEASURED = {
    Status.NOT_APPLICABLE: Outcome.NOT_APPLICABLE,
    Status.NOT_AVAILABLE: Outcome.NOT_AVAILABLE,
    Status.ERROR: Outcome.ERROR,
}
LISTED = 3
"""Observations told in a finding; the measurement holds them all."""
LONGEST = 300
"""Characters that one quoted detail may take."""


class Answer(NamedTuple):
    """What a gate says before anybody asks how far the method can be trusted."""

    outcome: Outcome
    reason: str
    estimate: Estimate | None = None
    threshold: float | None = None
    severity: Severity | None = None


def judge(
    entry: CheckEntry,
    measurement: Measurement,
    *,
    threshold: float | None = None,
    severity: Severity | None = None,
    evidence: tuple[DigestField, ...] = (),
) -> Finding:
    """Turns facts into a finding.

    Args:
        entry: The check's catalog entry, which names the gate.
        measurement: What the check found.
        threshold: Replaces the threshold of an interval gate, for the tier at hand.
        severity: Replaces how bad a failure is, for the tier at hand.
        evidence: Digests the finding rests on.

    Raises:
        ValueError: The measurement belongs to another check or another version.
        CatalogError: A threshold was given to a gate that has none.
    """
    if (entry.id, entry.version) != (measurement.check, measurement.version):
        raise ValueError(
            f"{measurement.check} version {measurement.version} cannot be judged by the entry of "
            f"{entry.id} version {entry.version}"
        )
    answer = _trusted(_answer(entry, measurement, threshold), measurement)
    return Finding(
        check=entry.id,
        outcome=answer.outcome,
        severity=_severity(answer, severity or answer.severity or entry.severity),
        question=entry.question,
        estimate=answer.estimate,
        threshold=answer.threshold,
        references=entry.references,
        evidence=evidence,
        detail=answer.reason,
        remediation="" if _is_good(answer.outcome) else entry.remediation,
    )


def told(estimate: Estimate) -> str:
    """Returns an estimate as people say it: value, interval, confidence, n."""
    if estimate.low == estimate.high:
        return f"{estimate.value:.4g} (counted completely, n = {estimate.n})"
    return (
        f"{estimate.value:.4g} ({estimate.confidence * 100:.4g} % interval "
        f"{estimate.low:.4g} to {estimate.high:.4g}, n = {estimate.n})"
    )


def _answer(entry: CheckEntry, measurement: Measurement, threshold: float | None) -> Answer:
    gate = entry.gate
    if isinstance(gate, ObservationsGate) and threshold is not None:
        raise CatalogError(
            f"the policy gives {entry.id} the threshold {threshold}, but its gate looks at "
            "observations. Remove the threshold from the policy's rule."
        )
    if measurement.status is not Status.MEASURED:
        return Answer(UNMEASURED[measurement.status], measurement.detail)
    if isinstance(gate, IntervalGate):
        return _interval(gate, measurement, gate.threshold if threshold is None else threshold)
    return _observations(gate, measurement)


def _interval(gate: IntervalGate, measurement: Measurement, threshold: float) -> Answer:
    estimate = measurement.estimates.get(gate.estimate)
    if estimate is None:
        known = ", ".join(sorted(measurement.estimates)) or "none"
        return Answer(
            Outcome.ERROR,
            f"The check gave no estimate called {gate.estimate} (it gave: {known}), so nothing "
            "can be compared with the threshold.",
            threshold=threshold,
        )
    outcome, place = _side(gate, estimate, threshold)
    bound = "at least" if gate.good == "above" else "at most"
    reason = f"{gate.estimate} is {told(estimate)}; wanted is {bound} {threshold:.4g}: {place}."
    return Answer(outcome, _joined(reason, measurement.detail), estimate, threshold)


def _side(gate: IntervalGate, estimate: Estimate, threshold: float) -> tuple[Outcome, str]:
    """Says where the interval lies. The threshold itself is still good."""
    if gate.good == "above":
        good, bad = estimate.low >= threshold, estimate.high < threshold
    else:
        good, bad = estimate.high <= threshold, estimate.low > threshold
    if good:
        return Outcome.PASS, "the whole interval is on the good side"
    if bad:
        return Outcome.FAIL, "the whole interval is on the bad side"
    return Outcome.UNDECIDED, "the interval holds the threshold, more samples are needed"


def _observations(gate: ObservationsGate, measurement: Measurement) -> Answer:
    ranked = sorted(measurement.observations, key=lambda seen: -seen.severity.rank)
    bad = [seen for seen in ranked if seen.severity.rank >= gate.fail_at.rank]
    if bad:
        reason = (
            f"{len(bad)} of {len(ranked)} observations are {gate.fail_at} or worse: {_listed(bad)}"
        )
        return Answer(Outcome.FAIL, _joined(reason, measurement.detail), severity=bad[0].severity)
    reason = f"No observation is {gate.fail_at} or worse."
    if ranked:
        reason += f" Noted below that: {_listed(ranked)}"
    return Answer(Outcome.PASS, _joined(reason, measurement.detail))


def _trusted(answer: Answer, measurement: Measurement) -> Answer:
    """Takes back what the run itself gives reason to doubt."""
    if answer.outcome is Outcome.FAIL:
        doubts = [
            f"the control {control.name} is innocent and was accused too"
            for control in measurement.controls
            if not control.planted and control.found
        ]
    elif answer.outcome is Outcome.PASS:
        doubts = [
            f"the control {control.name} was {'not found' if control.planted else 'accused'}"
            for control in measurement.controls
            if not control.held
        ]
        doubts += [_short(alarm) for alarm in measurement.alarms]
    else:
        return answer
    if not doubts:
        return answer
    reason = f"Would read {answer.outcome}, but it does not count: {'; '.join(doubts)}."
    return answer._replace(outcome=Outcome.UNDECIDED, reason=_joined(reason, answer.reason))


def _severity(answer: Answer, failed: Severity) -> Severity:
    return Severity.INFO if _is_good(answer.outcome) else failed


def _is_good(outcome: Outcome) -> bool:
    return outcome in {Outcome.PASS, Outcome.NOT_APPLICABLE}


def _listed(seen: list[Observation]) -> str:
    lines = [
        f"{one.rule} ({one.severity})"
        + (f" at {_short(one.location)}" if one.location else "")
        + f": {_short(one.detail)}"
        for one in seen[:LISTED]
    ]
    more = f"; and {len(seen) - LISTED} more" if len(seen) > LISTED else ""
    return "; ".join(lines) + more


def _joined(reason: str, detail: str) -> str:
    whole = reason if reason.endswith((".", "…")) else f"{reason}."
    return f"{whole} {detail}".strip()


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
