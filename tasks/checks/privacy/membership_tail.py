"""Can single people be named as members with hardly any false accusation?"""

import numpy as np

from tasks.attacks.inference.bavaria import bavaria
from tasks.attacks.inference.signals import halves
from tasks.checks.lab import Lab
from tasks.checks.privacy.audit_set import (
    CONTROL_CONFIDENCE,
    LOW_RATE,
    Audit,
    Blind,
    blind_baseline,
    drawn_audit,
    escrow_told,
    overlap_seen,
)
from tasks.checks.privacy.curves import keep_comparison, keep_curves
from tasks.checks.privacy.shadow_bank import Bank, bank_part, shadow_bank
from tasks.checks.privacy.tail_attacks import TINY_RATE, Attacked, attacked
from tasks.domain.measurement import Control, Measurement, Status
from tasks.sandbox.protocol import Reply
from tasks.statistics.intervals import Floats
from tasks.statistics.roc import auc
from tasks.statistics.tails import is_supported, tpr_at_true_fpr

CHECK, VERSION = "privacy.membership_tail", 2
FEWEST_EXPECTED = 5
"""False accusations that must be expected at 1 %; the interval tells what they are worth."""
PLANTED_ROWS, PLANTED_MODELS = 400, 8
PLANTED_RECIPE = {
    "optimizer": "adam", "learning_rate": 5e-3, "weight_decay": 0.0, "epochs": 60, "batch_size": 50,
}  # fmt: skip


def measure(lab: Lab) -> Measurement:
    """Attacks the model with shadow models; counts members found at 1 % false accusations."""
    audit = drawn_audit(lab)
    blind = blind_baseline(audit, seed=lab.seed)
    bank = shadow_bank(lab, audit)
    planted = _planted(lab, audit)
    found = attacked(lab, audit, bank)
    signal = found.signals[found.chosen]
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=_detail(audit, found),
        estimates={
            "tpr_at_1_percent_fpr": found.best.tail,
            "tpr_at_0_1_percent_fpr": found.best.tiny,
            "auc": found.best.area,
            "blind_tpr_at_1_percent_fpr": blind.tail,
            "overlap": audit.overlap,
        },
        observations=overlap_seen(audit),
        controls=(planted, _by_lot(audit, signal, lab), blind.control(found.best.tail, blind.tail)),
        alarms=tuple(_alarms(audit, found, bank)),
        limits=_limits(audit, bank) + escrow_told(lab),
        method=f"{found.chosen} at 1 % false positives; intervals over items and over shadow "
        f"models; {bank.told}",
        facts=_facts(audit, found, blind, bank),
        artifacts=(
            keep_curves(
                lab, found.signals, audit.members, chosen=found.chosen, counted=found.learnt_apart
            ),
            keep_comparison(
                lab,
                {name: worth.tail for name, worth in found.worth.items()},
                chosen=found.chosen,
                what="members named at 1 % false accusations",
            ),
        ),
        cost=lab.cost,
    )


def measure_part(lab: Lab, index: int) -> Reply:
    """Trains one block of shadow models; what :func:`measure` would train in its own child."""
    return bank_part(lab, drawn_audit(lab), index)


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
    answers = reply.arrays["confidence"][:, 0].astype(np.float64)
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


def _alarms(audit: Audit, found: Attacked, bank: Bank) -> list[str]:
    best = found.best.tail
    alarms = [
        f"{name} names {other.tail.value:.1%} of the members, more than {found.chosen} does"
        for name, other in sorted(found.worth.items())
        # The best of several attacks looks good by chance, so it must be clearly better.
        if name != found.chosen and other.tail.low > best.high
    ]
    if bank.diverged:
        alarms.append(
            f"{bank.diverged} of {len(bank.members)} shadow models diverged under the declared "
            "recipe, so the attacks are weaker than they could be: correct training in bundle.yaml"
        )
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
    best = found.best.tail
    return (
        f"{found.chosen} names {best.value:.1%} of {best.n} members where 1 % of the "
        f"others are accused wrongly; guessing names 1 %. {len(audit.labels)} items were asked "
        "about."
    )


def _facts(
    audit: Audit, found: Attacked, blind: Blind, bank: Bank
) -> dict[str, str | int | float | bool | None]:
    facts: dict[str, str | int | float | bool | None] = {
        "members": int(audit.members.sum()),
        "others": int((~audit.members).sum()),
        "accuracy of the blind guess": round(blind.accuracy.value, 4),
        "looks at each item": bank.confidence.shape[1],
        "shadow bank": bank.digest,
    }
    for name, worth in found.worth.items():
        tail = worth.tail
        facts[f"tpr at 1 % of {name}"] = round(tail.value, 4)
        facts[f"tpr at 1 % of {name}, interval"] = f"{tail.low:.4f} to {tail.high:.4f}"
        facts[f"auc of {name}"] = round(worth.area.value, 4)
    return facts
