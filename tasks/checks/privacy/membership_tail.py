"""Can single people be named as members with hardly any false accusation?"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.inference.bavaria import bavaria
from tasks.attacks.inference.deciding import split
from tasks.attacks.inference.lira import offline, online
from tasks.attacks.inference.rmia import rmia
from tasks.attacks.inference.signals import (
    aligned,
    confidence,
    halves,
    log_probabilities,
    loss,
    modified_entropy,
)
from tasks.checks.lab import Lab
from tasks.checks.privacy.audit_set import (
    CONTROL_CONFIDENCE,
    LOW_RATE,
    Audit,
    Blind,
    blind_baseline,
    drawn_audit,
    overlap_seen,
)
from tasks.checks.privacy.curves import keep_curves
from tasks.checks.privacy.shadow_bank import Bank, shadow_bank
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Control, Measurement, Status
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import Floats
from tasks.statistics.roc import auc
from tasks.statistics.tails import is_supported, tpr_at_true_fpr, widened

CHECK, VERSION = "privacy.membership_tail", 1
CHOSEN = "BaVarIA"
"""Named before anything is measured, so its interval needs no correction for a choice."""
PEER = "ART black box"
LABELS_ONLY = "label noise"
"""What is counted when the model answers labels and no scores."""
TINY_RATE = 0.001
FEWEST_EXPECTED = 5
"""False accusations that must be expected at 1 %; the interval tells what they are worth."""
RESAMPLES = 40
PLANTED_ROWS, PLANTED_MODELS = 400, 8
PLANTED_RECIPE = {
    "optimizer": "adam", "learning_rate": 5e-3, "weight_decay": 0.0, "epochs": 60, "batch_size": 50,
}  # fmt: skip


class Attacked(NamedTuple):
    """What every attack says of every item, and what the chosen one is worth."""

    chosen: str
    signals: dict[str, Floats]
    tails: dict[str, Estimate]
    """Members found at 1 % false positives, over items only."""
    tail: Estimate
    """The chosen attack's, over items and shadow models."""
    learnt_apart: NDArray[np.bool_]
    """Items that no attack learnt from."""


def measure(lab: Lab) -> Measurement:
    """Attacks the model with shadow models; counts members found at 1 % false accusations."""
    audit = drawn_audit(lab)
    blind = blind_baseline(audit, seed=lab.seed)
    bank = shadow_bank(lab, audit)
    planted = _planted(lab, audit)
    found = _attacked(lab, audit, bank)
    signal = found.signals[found.chosen]
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=_detail(audit, found),
        estimates={
            "tpr_at_1_percent_fpr": found.tail,
            "tpr_at_0_1_percent_fpr": _tail(signal, audit, TINY_RATE),
            "auc": auc(signal[audit.members], signal[~audit.members]),
            "blind_tpr_at_1_percent_fpr": blind.tail,
            "overlap": audit.overlap,
        },
        observations=overlap_seen(audit),
        controls=(planted, _by_lot(audit, signal, lab), blind.control(found.tail, blind.tail)),
        alarms=tuple(_alarms(audit, found)),
        limits=_limits(audit, bank),
        method=f"{found.chosen} at 1 % false positives; interval over items and over shadow "
        f"models; {bank.told}",
        facts=_facts(audit, found, blind),
        artifacts=(
            keep_curves(
                lab, found.signals, audit.members, chosen=found.chosen, counted=found.learnt_apart
            ),
        ),
        cost=lab.cost,
    )


def _attacked(lab: Lab, audit: Audit, bank: Bank) -> Attacked:
    """Opens the target and runs every attack that its answers allow."""
    labels_only = lab.target().get("access") == "labels"
    scores = lab.run("targets.querying.scores", {"inputs": audit.inputs}).arrays["scores"]
    signals = _by_labels(lab, audit)
    apart = np.ones(len(audit.labels), dtype=np.bool_)
    if not labels_only:
        signals |= _by_scores(audit, scores, bank)
        if bool(lab.parameters["art"]):
            signals[PEER], apart = _art(lab, audit, scores)
    tails = {
        name: _tail(signal, audit, LOW_RATE, apart if name == PEER else True)
        for name, signal in signals.items()
    }
    chosen = LABELS_ONLY if labels_only else CHOSEN
    tail = tails[chosen]
    if not labels_only:
        tail = widened(tail, _resampled(audit, scores, bank, lab.seed))
    return Attacked(chosen, signals, tails, tail, apart)


def _by_labels(lab: Lab, audit: Audit) -> dict[str, Floats]:
    """Attacks that look at labels only; they work against every model."""
    items = {"inputs": audit.inputs, "labels": audit.labels}
    noise = lab.run(
        "attacks.inference.label_noise", items, queries=lab.count("label_queries"), seed=lab.seed
    )
    signals = {LABELS_ONLY: noise.arrays["signal"]}
    if directions := lab.count("directions"):
        reply = lab.run(
            "attacks.inference.boundary_distance", items, directions=directions, seed=lab.seed
        )
        signals["boundary distance"] = reply.arrays["signal"]
    return signals


def _by_scores(audit: Audit, scores: Array, bank: Bank) -> dict[str, Floats]:
    own = aligned(confidence(scores, audit.labels), bank.confidence)
    sure = loss(scores, audit.labels)
    fitted = aligned(sure, bank.log_probability)
    return {
        CHOSEN: bavaria(own, bank.confidence, bank.members),
        "LiRA online": online(own, bank.confidence, bank.members),
        "LiRA offline": offline(own, bank.confidence, bank.members),
        "RMIA": rmia(fitted, bank.log_probability, bank.members),
        "RMIA offline": rmia(fitted, bank.log_probability, bank.members, online=False),
        "loss": sure,
        "confidence": log_probabilities(scores).max(axis=-1),
        "modified entropy": modified_entropy(scores, audit.labels),
    }


def _resampled(audit: Audit, scores: Array, bank: Bank, seed: int) -> Floats:
    """Returns the rate under other draws of shadow models, pair by pair."""
    rng = np.random.default_rng(seed + 3)
    own = aligned(confidence(scores, audit.labels), bank.confidence)
    pairs = len(bank.members) // 2
    rates = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(0, pairs, pairs)
        part = bank.models(np.concatenate([2 * drawn, 2 * drawn + 1]))
        signal = bavaria(own, part.confidence, part.members)
        rates.append(_tail(signal, audit, LOW_RATE).value)
    return np.array(rates)


def _art(lab: Lab, audit: Audit, scores: Array) -> tuple[Floats, NDArray[np.bool_]]:
    """Returns a peer's opinion, and which items it did not learn from."""
    learning = split(audit.members, seed=lab.seed)
    reply = lab.run(
        "attacks.inference.art_black_box",
        {
            "scores": scores,
            "labels": audit.labels,
            "members": audit.members,
            "learning": learning,
        },
        seed=lab.seed,
    )
    return reply.arrays["signal"], ~learning


def _tail(
    signal: Floats,
    audit: Audit,
    rate: float,
    counted: NDArray[np.bool_] | bool = True,
    confidence_level: float = 0.95,
) -> Estimate:
    return tpr_at_true_fpr(
        signal[audit.members & counted], signal[~audit.members & counted], rate, confidence_level
    )


def _planted(lab: Lab, audit: Audit) -> Control:
    """Attacks a model that learnt random labels by heart, with shadow models of its kind."""
    rng = np.random.default_rng(lab.seed + 1)
    rows = rng.permutation(len(audit.labels))[:PLANTED_ROWS]
    classes = max(2, int(audit.labels.max()) + 1)
    drawn = halves(PLANTED_MODELS, len(rows), seed=lab.seed + 1)
    reply = lab.run(
        "attacks.inference.shadow_stack",
        {
            "inputs": audit.inputs[rows],
            "labels": rng.integers(0, classes, len(rows)),
            "members": drawn,
        },
        classes=classes,
        recipe=PLANTED_RECIPE,
        seed=lab.seed + 1,
        mean=[float(audit.inputs[rows].mean())],
        std=[float(audit.inputs[rows].std()) or 1.0],
    )
    answers = reply.arrays["confidence"].astype(np.float64)
    signal = bavaria(answers[0], answers[2:], drawn[2:])
    found = auc(signal[drawn[0]], signal[~drawn[0]], CONTROL_CONFIDENCE)
    return Control(
        name="a model that knows random labels by heart",
        planted=True,
        found=found.low > 0.6,
        estimate=found,
        detail=f"area {found.value:.3f} on {found.n} items, guessing gives 0.5",
    )


def _by_lot(audit: Audit, signal: Floats, lab: Lab) -> Control:
    lots = np.random.default_rng(lab.seed + 2).permutation(audit.members)
    found = tpr_at_true_fpr(signal[lots], signal[~lots], LOW_RATE, CONTROL_CONFIDENCE)
    return Control(
        name="the same answers, members drawn by lot",
        planted=False,
        found=found.low > 2 * LOW_RATE,
        estimate=found,
        detail=f"{found.value:.1%} named at 1 % false accusations",
    )


def _alarms(audit: Audit, found: Attacked) -> list[str]:
    alarms = [
        f"{name} names {other.value:.1%} of the members, more than {found.chosen} does"
        for name, other in sorted(found.tails.items())
        # The best of several attacks looks good by chance, so it must be clearly better.
        if name != found.chosen and other.low > found.tail.high
    ]
    others = int((~audit.members).sum())
    if not is_supported(others, LOW_RATE, FEWEST_EXPECTED):
        alarms.append(f"{others} non-members cannot speak about 1 % false accusations, 500 can")
    return alarms


def _limits(audit: Audit, bank: Bank) -> tuple[str, ...]:
    others = int((~audit.members).sum())
    tiny = "" if is_supported(others, TINY_RATE) else ", so the rate at 0.1 % is information only"
    return (
        "Success here is a witness; failure says only that these attacks failed.",
        f"{others} non-members were counted{tiny}.",
        f"Shadow models stand for the target's training: {bank.told}.",
    )


def _detail(audit: Audit, found: Attacked) -> str:
    return (
        f"{found.chosen} names {found.tail.value:.1%} of {found.tail.n} members where 1 % of the "
        f"others are accused wrongly; guessing names 1 %. {len(audit.labels)} items were asked "
        "about."
    )


def _facts(
    audit: Audit, found: Attacked, blind: Blind
) -> dict[str, str | int | float | bool | None]:
    facts: dict[str, str | int | float | bool | None] = {
        "members": int(audit.members.sum()),
        "others": int((~audit.members).sum()),
        "accuracy of the blind guess": round(blind.accuracy.value, 4),
    }
    for name, signal in found.signals.items():
        used = found.learnt_apart if name == PEER else np.ones_like(found.learnt_apart)
        area = auc(signal[used & audit.members], signal[used & ~audit.members])
        facts[f"tpr at 1 % of {name}"] = round(found.tails[name].value, 4)
        facts[f"auc of {name}"] = round(area.value, 4)
    return facts
