"""Can somebody who queries the model tell who was in its training data?"""

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
    pairs_drawn,
)
from tasks.checks.lab import Lab
from tasks.checks.privacy.audit_set import (
    CONTROL_CONFIDENCE,
    LOW_RATE,
    Audit,
    blind_baseline,
    drawn_audit,
    escrow_told,
    overlap_seen,
)
from tasks.checks.privacy.curves import keep_curves
from tasks.domain.measurement import Control, Measurement, Status
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import Floats, binomial
from tasks.statistics.roc import LowTail
from tasks.statistics.tails import widened

CHECK, VERSION = "privacy.membership", 3
PLANTED_ROWS = 100
CALIBRATED = "calibrated"
"""The attack that uses shadow models."""
RESAMPLES = 40


class Shadows(NamedTuple):
    """Which model learnt which item (models, items), and what each answers for all of them."""

    members: NDArray[np.bool_]
    scores: Array


def measure(lab: Lab) -> Measurement:
    """Attacks the model with known members and others; counts on a half apart."""
    audit = drawn_audit(lab)
    lab.admit_target()
    # Before the model is opened: nothing that it does can touch what it is compared with.
    shadows = _shadows(lab, audit)
    planted = _planted(lab, audit)
    description = lab.target()
    scores = lab.run("targets.querying.scores", {"inputs": audit.inputs}).arrays["scores"]
    signals = _signals(audit, scores, shadows, access=str(description.get("access", "scores")))
    learning = split(audit.members, seed=lab.seed)
    verdicts = decide(signals, audit.labels, audit.members, learning)
    tail = low_tail(signals[verdicts.chosen], audit.members, learning, rate=LOW_RATE)
    best = verdicts.results[verdicts.chosen]
    if shadows is not None and verdicts.chosen == CALIBRATED:
        best, tail = _over_models(audit, scores, shadows, learning, (best, tail))
        verdicts.results[CALIBRATED] = best
    blind = blind_baseline(audit, seed=lab.seed)
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
        observations=overlap_seen(audit),
        controls=(
            planted,
            _random(lab, audit, signals, learning),
            blind.control(best.accuracy, blind.accuracy),
        ),
        alarms=tuple(_alarms(lab, best, tail)),
        limits=(
            "Success here is a witness; failure says only that these attacks failed.",
            f"{best.accuracy.n} items were counted; leaks of fewer than 1 in 100 are not seen.",
            *escrow_told(lab),
        ),
        method="best of correctness, class-wise loss, class-wise modified entropy and calibrated "
        "confidence, chosen and tuned on one half, counted on the other; where shadow models "
        "decide, intervals over items and over shadow models",
        facts=_facts(audit, verdicts),
        artifacts=(
            keep_curves(lab, signals, audit.members, chosen=verdicts.chosen, counted=~learning),
        ),
        cost=lab.cost,
    )


def _shadows(lab: Lab, audit: Audit) -> Shadows | None:
    """Trains shadow models, unless the bundle says that the model answers labels only."""
    output = lab.subject.spec.model.output
    if output is not None and output.kind == "labels":
        return None
    stated = output.classes if output else None
    drawn = halves(2 * (lab.count("shadow_models") // 2), len(audit.labels), seed=lab.seed)
    classes = stated or max(2, int(audit.labels.max()) + 1)
    return Shadows(
        drawn,
        _trained(lab, audit.inputs, audit.labels, drawn, classes=classes, hidden=64, steps=80),
    )


def _over_models(
    audit: Audit,
    scores: Array,
    shadows: Shadows,
    learning: NDArray[np.bool_],
    found: tuple[Decided, LowTail],
) -> tuple[Decided, LowTail]:
    """Widens what was counted over items by what other draws of shadow models would have shown."""
    draws = []
    for drawn in pairs_drawn(len(shadows.members), RESAMPLES, seed=len(audit.labels)):
        signal = calibrated(scores, audit.labels, shadows.scores[drawn], shadows.members[drawn])
        decided = decide({CALIBRATED: signal}, audit.labels, audit.members, learning)
        tail = low_tail(signal, audit.members, learning, rate=LOW_RATE)
        one = decided.results[CALIBRATED]
        draws.append((one.accuracy.value, one.area.value, tail.true_positive.value))
    best, tail = found
    accuracy, area, caught = (np.array(values) for values in zip(*draws, strict=True))
    return (
        best._replace(accuracy=widened(best.accuracy, accuracy), area=widened(best.area, area)),
        tail._replace(true_positive=widened(tail.true_positive, caught)),
    )


def _signals(
    audit: Audit, scores: Array, shadows: Shadows | None, *, access: str
) -> dict[str, Floats]:
    signals = {"correctness": correctness(scores, audit.labels)}
    if access == "labels":
        return signals
    signals["loss"] = loss(scores, audit.labels)
    signals["modified entropy"] = modified_entropy(scores, audit.labels)
    if shadows is not None:
        signals[CALIBRATED] = calibrated(scores, audit.labels, shadows.scores, shadows.members)
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
