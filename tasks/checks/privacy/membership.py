"""Can somebody who queries the model tell who was in its training data?"""

import json
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.inference.deciding import Decided, Verdicts, decide, low_tail, split
from tasks.attacks.inference.signals import (
    calibrated,
    correctness,
    halves,
    loss,
    modified_entropy,
)
from tasks.checks.lab import Examples, Lab, NotAvailable
from tasks.detectors.data.profile import fingerprints
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Artifact, Control, Measurement, Observation, Status
from tasks.domain.severity import Severity
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import Floats, binomial
from tasks.statistics.roc import LowTail, roc_curve

CHECK, VERSION = "privacy.membership", 1
LOW_RATE = 0.01
"""Nominal false positive rate of the low tail: smaller ones need 10,000 non-members."""
CONTROL_CONFIDENCE = 0.999
"""A control that rests on chance may not spoil one run in twenty."""
PLANTED_ROWS = 100
CURVE_POINTS = 200


class Audit(NamedTuple):
    """Members and as many others of the same classes, without rows that lie in both."""

    inputs: Array
    labels: Array
    members: NDArray[np.bool_]
    overlap: Estimate


def measure(lab: Lab) -> Measurement:
    """Attacks the model with known members and others; counts on a half apart."""
    audit = _audit(lab)
    description = lab.target()
    scores = lab.run("targets.querying.scores", {"inputs": audit.inputs}).arrays["scores"]
    signals = _signals(lab, audit, scores, access=str(description.get("access", "scores")))
    learning = split(audit.members, seed=lab.seed)
    verdicts = decide(signals, audit.labels, audit.members, learning)
    tail = low_tail(signals[verdicts.chosen], audit.members, learning, rate=LOW_RATE)
    best = verdicts.results[verdicts.chosen]
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=_detail(audit, verdicts),
        estimates={
            "accuracy": best.accuracy,
            "auc": best.area,
            "tpr_at_1_percent_fpr": tail.true_positive,
            "fpr_at_1_percent_nominal": tail.false_positive,
            "overlap": audit.overlap,
        },
        observations=_observations(audit),
        controls=(_planted(lab, audit), _random(lab, audit, signals, learning)),
        alarms=tuple(_alarms(lab, best, tail)),
        limits=(
            "Success here is a witness; failure says only that these attacks failed.",
            f"{best.accuracy.n} items were counted; leaks of fewer than 1 in 100 are not seen.",
        ),
        method="best of correctness, class-wise loss, class-wise modified entropy and calibrated "
        "confidence, chosen and tuned on one half, counted on the other",
        facts=_facts(audit, verdicts),
        artifacts=(_curve(lab, audit, signals, verdicts, learning),),
        cost=lab.cost,
    )


def _audit(lab: Lab) -> Audit:
    """Draws the same number of members and others from each class.

    Raises:
        NotAvailable: One of the sets is missing, or too few rows lie in one set only.
    """
    training, evaluation = lab.examples("training"), lab.examples("evaluation")
    inside, outside = fingerprints(training.inputs), fingerprints(evaluation.inputs)
    shared = np.isin(outside, inside)
    overlap = Estimate.exact(float(shared.mean()), n=len(shared))
    rng = np.random.default_rng(lab.seed)
    member_rows = rng.permutation(np.unique(inside, return_index=True)[1])
    other_rows = np.unique(outside, return_index=True)[1]
    other_rows = rng.permutation(other_rows[~shared[other_rows]])
    rows = _matched(training.labels[member_rows], evaluation.labels[other_rows], lab.count("items"))
    least = lab.count("minimum_items")
    if len(rows) < least:
        raise NotAvailable(
            f"only {len(rows)} members can be matched with as many others of the same class, "
            f"{least} are needed; {overlap.value:.1%} of the evaluation rows lie in the training "
            "data and cannot be used"
        )
    picked = (
        _taken(training, member_rows[rows[:, 0]]),
        _taken(evaluation, other_rows[rows[:, 1]]),
    )
    return Audit(
        np.concatenate([one.inputs for one in picked]),
        np.concatenate([one.labels for one in picked]).astype(np.int64),
        np.repeat([True, False], len(rows)),
        overlap,
    )


def _matched(first: Array, second: Array, most: int) -> NDArray[np.int64]:
    """Pairs rows of equal labels, at most ``most``, classes in the proportion they allow."""
    pairs = [
        np.stack([rows[: min(map(len, both))] for rows in both], axis=1)
        for label in np.unique(first)
        if (both := [np.flatnonzero(first == label), np.flatnonzero(second == label)])
    ]
    matched = np.concatenate(pairs) if pairs else np.zeros((0, 2), dtype=np.int64)
    # Rows were permuted before: every k-th pair keeps the proportion of the classes.
    step = max(1.0, len(matched) / most)
    kept: NDArray[np.int64] = matched[(np.arange(min(len(matched), most)) * step).astype(int)]
    return kept


def _taken(examples: Examples, rows: NDArray[np.int64]) -> Examples:
    return Examples(examples.inputs[rows], examples.labels[rows])


def _signals(lab: Lab, audit: Audit, scores: Array, *, access: str) -> dict[str, Floats]:
    signals = {"correctness": correctness(scores, audit.labels)}
    if access == "labels":
        return signals
    signals["loss"] = loss(scores, audit.labels)
    signals["modified entropy"] = modified_entropy(scores, audit.labels)
    drawn = halves(2 * (lab.count("shadow_models") // 2), len(audit.labels), seed=lab.seed)
    shadows = _trained(
        lab, audit.inputs, audit.labels, drawn, classes=scores.shape[1], hidden=64, steps=80
    )
    signals["calibrated"] = calibrated(scores, audit.labels, shadows, drawn)
    return signals


def _trained(
    lab: Lab,
    inputs: Array,
    labels: Array,
    members: NDArray[np.bool_],
    **settings: int,
) -> Array:
    reply = lab.run(
        "attacks.inference.shadow_scores",
        {"inputs": inputs, "labels": labels, "members": members},
        seed=lab.seed,
        **settings,
    )
    return reply.arrays["scores"]


def _planted(lab: Lab, audit: Audit) -> Control:
    """Trains two models until they know rows with random labels by heart, and attacks one.

    The thresholds are learnt on the other model, so the count needs no split.
    """
    rng = np.random.default_rng(lab.seed + 1)
    each = min(PLANTED_ROWS, len(audit.labels) // 4)
    rows = rng.permutation(len(audit.labels))[: 4 * each]
    inputs = audit.inputs[rows]
    classes = max(2, int(audit.labels.max()) + 1)
    labels = rng.integers(0, classes, len(rows))
    members = np.zeros((2, len(rows)), dtype=np.bool_)
    members[0, :each] = members[1, 2 * each : 3 * each] = True
    learnt: NDArray[np.bool_] = members[0] | members[1]
    answers = _trained(lab, inputs, labels, members, classes=classes, hidden=256, steps=300)
    first = slice(0, 2 * each)
    second = slice(2 * each, 4 * each)
    signal = np.concatenate(
        [loss(answers[0, first], labels[first]), loss(answers[1, second], labels[second])]
    )
    verdicts = decide({"loss": signal}, labels, learnt, np.arange(len(rows)) < 2 * each)
    return _control("a model that knows random labels by heart", verdicts, planted=True)


def _random(
    lab: Lab, audit: Audit, signals: dict[str, Floats], learning: NDArray[np.bool_]
) -> Control:
    """Attacks the same answers with members drawn by lot: nothing can be found there."""
    rng = np.random.default_rng(lab.seed + 2)
    lots = audit.members.copy()
    for half in (learning, ~learning):
        lots[half] = rng.permutation(lots[half])
    verdicts = decide(signals, audit.labels, lots, learning)
    return _control("the same answers, members drawn by lot", verdicts, planted=False)


def _control(name: str, verdicts: Verdicts, *, planted: bool) -> Control:
    counted = verdicts.results[verdicts.chosen].accuracy
    strict = binomial(round(counted.value * counted.n), counted.n, CONTROL_CONFIDENCE)
    return Control(
        name=name,
        planted=planted,
        found=strict.low > 0.5,
        estimate=strict,
        detail=f"attack accuracy {strict.value:.3f} on {strict.n} items, guessing gives 0.5",
    )


def _alarms(lab: Lab, best: Decided, tail: LowTail) -> list[str]:
    """Names leaks that the average over all items hides."""
    alarms: list[str] = []
    caught, false = tail.true_positive, tail.false_positive
    if caught.low > 2 * false.high:
        alarms.append(
            f"a small group leaks: {caught.value:.1%} of the members are named where "
            f"{false.value:.1%} of the others are"
        )
    claimed = lab.subject.spec.claims.dp_epsilon
    if claimed is not None and best.epsilon > claimed:
        alarms.append(
            f"the claimed privacy epsilon is {claimed:g}, these answers show at least "
            f"{best.epsilon:.2f}"
        )
    return alarms


def _observations(audit: Audit) -> tuple[Observation, ...]:
    if not audit.overlap.value:
        return ()
    return (
        Observation(
            rule="privacy.overlap",
            severity=Severity.MEDIUM if audit.overlap.value >= LOW_RATE else Severity.LOW,
            detail=f"{audit.overlap.value:.1%} of {audit.overlap.n} evaluation rows lie in the "
            "training data; they were left out",
            location="evaluation",
        ),
    )


def _detail(audit: Audit, verdicts: Verdicts) -> str:
    best = verdicts.results[verdicts.chosen]
    return (
        f"The best attack ({verdicts.chosen}) calls {best.accuracy.value:.1%} of "
        f"{best.accuracy.n} items rightly member or not, guessing gives 50 %. It learnt from "
        f"{len(audit.labels) - best.accuracy.n} other items."
    )


def _facts(audit: Audit, verdicts: Verdicts) -> dict[str, str | int | float | bool | None]:
    facts: dict[str, str | int | float | bool | None] = {
        "members": int(audit.members.sum()),
        "others": int((~audit.members).sum()),
        "chosen": verdicts.chosen,
        "epsilon proven at least": round(verdicts.results[verdicts.chosen].epsilon, 4),
    }
    for name, result in verdicts.results.items():
        facts[f"accuracy of {name}"] = round(result.accuracy.value, 4)
        facts[f"auc of {name}"] = round(result.area.value, 4)
    return facts


def _curve(
    lab: Lab,
    audit: Audit,
    signals: dict[str, Floats],
    verdicts: Verdicts,
    learning: NDArray[np.bool_],
) -> Artifact:
    curves = {}
    for name, signal in signals.items():
        curve = roc_curve(signal[~learning & audit.members], signal[~learning & ~audit.members])
        points = np.unique(np.linspace(0, len(curve.thresholds) - 1, CURVE_POINTS).astype(int))
        curves[name] = {
            "false_positive": [round(float(x), 6) for x in curve.false_positive[points]],
            "true_positive": [round(float(x), 6) for x in curve.true_positive[points]],
        }
    document = {"chosen": verdicts.chosen, "curves": curves}
    return lab.keep(
        "roc.json",
        title="Members named against others accused, for each attack",
        media_type="application/json",
        data=json.dumps(document, sort_keys=True).encode(),
    )
