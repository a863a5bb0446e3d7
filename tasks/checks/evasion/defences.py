"""What a defence would be worth: robust accuracy before and after, against who knows of it.

Sources: Athalye et al. 2018, arXiv 1802.00420; Tramèr et al. 2020, arXiv 2002.08347 (attack every
defence with its own weakness in mind); Madry et al. 2018, arXiv 1706.06083.
"""

import json
from typing import Any, NamedTuple

import numpy as np

from tasks.checks.evasion.controls import linear_controls
from tasks.checks.evasion.defended import DEFENCES, NONE, measure_arm
from tasks.checks.evasion.doubts import about_answers
from tasks.checks.lab import Lab, NotAvailable
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Artifact, Control, Measurement, Status
from tasks.sandbox.protocol import Array, Reply
from tasks.statistics.betting import confidence_sequence
from tasks.statistics.intervals import binomial

CHECK, VERSION = "evasion.defences", 2
CONFIDENCE = 0.95
PROTECTS, MASKS, HARMS, OPEN, DOUBTED = (
    "protects",
    "only masks",
    "harms",
    "no gain shown",
    "doubtful",
)


class Arm(NamedTuple):
    """How one defence did, point by point (n,): read correctly, clean and under attack."""

    name: str
    clean: Array
    aware: Array
    unaware: Array
    told: dict[str, Any]

    @property
    def alarms(self) -> list[str]:
        """Reasons not to trust what still stands."""
        return [str(alarm) for alarm in self.told["alarms"]]


class Gain(NamedTuple):
    """What a defence adds to the bare model, on the same points."""

    aware: Estimate
    unaware: Estimate
    effect: str


def measure(lab: Lab) -> Measurement:
    """Attacks the bare model and each defended one; compares on the same points."""
    names = chosen(lab)
    arms, refused = _arms(lab, names)
    bare, defended = arms[0], arms[1:]
    if not defended:
        raise NotAvailable(f"no defence could be put up: {'; '.join(refused.values())[:500]}")
    gains = {arm.name: gain(arm, bare, count=len(defended)) for arm in defended}
    # What still stands behind an alarm is an upper bound: the best is sought among the others.
    trusted = [arm for arm in defended if not arm.alarms] or defended
    best = max(trusted, key=lambda arm: gains[arm.name].aware.value)
    gates = _interval(best.aware), _interval(bare.aware)
    masking = [name for name, each in gains.items() if each.effect == MASKS]
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=_detail(bare, best, gains[best.name], masking),
        estimates={
            "gain_of_best_defence": gains[best.name].aware,
            "robust_accuracy": gates[1],
            "robust_accuracy_defended": gates[0],
            "clean_accuracy": _rate(bare.clean),
            "clean_accuracy_defended": _rate(best.clean),
        },
        controls=_controls(lab, bare),
        alarms=tuple(
            about_answers(lab.target())
            + [f"bare model: {alarm}" for alarm in bare.alarms]
            + [f"{best.name}: {alarm}" for alarm in best.alarms]
        ),
        limits=_limits(defended, refused),
        method=(
            "Each defence is attacked as evasion.linf_robust_accuracy attacks: through filters as "
            "if they were not there (BPDA), over 20 draws where chance answers (EoT), with score "
            "searches, and with candidates made for the bare model; worst case per input, settled."
        ),
        facts={
            "points": len(bare.clean),
            "best": best.name,
            "masking": ", ".join(masking),
            "epsilon": lab.number("epsilon"),
            "epochs": lab.count("epochs"),
            **_facts(arms, gains),
        },
        artifacts=(_table(lab, arms, gains, refused), *_models(defended)),
        cost=lab.cost,
    )


def measure_part(lab: Lab, index: int) -> Reply:
    """Attacks the bare model (0) or one defended one, wherever there is room."""
    return measure_arm(lab, (NONE, *chosen(lab))[index])


def chosen(lab: Lab) -> tuple[str, ...]:
    """Returns the defences that the parameter names, once each, in its order.

    Raises:
        NotAvailable: It names none that exists; says which exist.
    """
    names = tuple(dict.fromkeys(name.strip() for name in lab.text("defences").split(",")))
    if unknown := [name for name in names if name not in DEFENCES]:
        raise NotAvailable(
            f"there is no defence {', '.join(unknown)}; known are {', '.join(DEFENCES)}"
        )
    return names


def gain(arm: Arm, bare: Arm, *, count: int) -> Gain:
    """Compares one of ``count`` defences with the bare model where both were attacked."""
    confidence = 1 - (1 - CONFIDENCE) / count
    aware = gained(arm.aware, bare.aware, confidence)
    unaware = gained(arm.unaware, bare.aware, confidence)
    if arm.alarms:
        effect = DOUBTED
    elif aware.low > 0:
        effect = PROTECTS
    elif unaware.low > 0:
        effect = MASKS
    else:
        effect = HARMS if aware.high < 0 else OPEN
    return Gain(aware, unaware, effect)


def gained(after: Array, before: Array, confidence: float) -> Estimate:
    """Returns how many points more stand after than before, on the points that both have."""
    both = min(len(after), len(before))
    halves = (after[:both].astype(np.float64) - before[:both] + 1) / 2
    mean = confidence_sequence(halves, confidence, also=(0.5,))
    return Estimate(
        value=2 * mean.value - 1,
        low=2 * mean.low - 1,
        high=2 * mean.high - 1,
        confidence=confidence,
        n=mean.n,
    )


def _arms(lab: Lab, names: tuple[str, ...]) -> tuple[list[Arm], dict[str, str]]:
    """Returns the bare arm and every defended one, and why the others could not be put up."""
    arms: list[Arm] = []
    refused: dict[str, str] = {}
    everyone = (NONE, *names)
    for name, part in zip(
        everyone, lab.parts(lambda index: measure_part(lab, index), len(everyone)), strict=True
    ):
        if "refused" in part.values:
            refused[name] = str(part.values["refused"])
            continue
        clean, standing, unaware = (part.arrays[key] for key in ("clean", "standing", "unaware"))
        arms.append(Arm(name, clean, standing, unaware, part.values))
    return arms, refused


def _detail(bare: Arm, best: Arm, gain: Gain, masking: list[str]) -> str:
    """Says what the best defence brings, and which only look good."""
    text = (
        f"Bare, {bare.aware.mean():.1%} of {len(bare.aware)} inputs keep their class; with "
        f"{best.name} {best.aware.mean():.1%} of {len(best.aware)} against an attacker who knows "
        f"of it (clean {bare.clean.mean():.1%} and {best.clean.mean():.1%}): gain "
        f"{gain.aware.value:+.1%}, interval {gain.aware.low:+.1%} to {gain.aware.high:+.1%}."
    )
    if not masking:
        return text
    return f"{text} Only masking, no protection: {', '.join(masking)}."


def _limits(defended: list[Arm], refused: dict[str, str]) -> tuple[str, ...]:
    return (
        "What filters and chance answer is the sandbox child's word; hardened models are files.",
        *(f"{name} was not compared: {why}" for name, why in refused.items()),
        *(f"{arm.name}: {alarm}" for arm in defended for alarm in arm.alarms),
    )


def _facts(arms: list[Arm], gains: dict[str, Gain]) -> dict[str, str | float]:
    return {
        **{f"clean_{arm.name}": float(arm.clean.mean()) for arm in arms},
        **{f"robust_{arm.name}": float(arm.aware.mean()) for arm in arms},
        **{f"unaware_{arm.name}": float(arm.unaware.mean()) for arm in arms},
        **{f"effect_{name}": each.effect for name, each in gains.items()},
    }


def _controls(lab: Lab, bare: Arm) -> tuple[Control, ...]:
    """The attack on what has a closed form, and the bare model against itself."""
    none = gained(bare.aware, bare.aware, CONFIDENCE)
    return (
        *linear_controls(lab, norm="linf"),
        Control(
            name="bare model against itself, a gain",
            planted=False,
            found=none.low > 0,
            estimate=none,
            detail=f"gain {none.value:+.1%}",
        ),
    )


def _rate(flags: Array) -> Estimate:
    return binomial(int(flags.sum()), len(flags))


def _interval(standing: Array) -> Estimate:
    """Points are attacked until the answer is settled, so the interval holds whenever one stops."""
    return confidence_sequence(standing.astype(np.float64), CONFIDENCE)


def _models(defended: list[Arm]) -> tuple[Artifact, ...]:
    told = (arm.told.get("artifact") for arm in defended)
    return tuple(Artifact.model_validate(kept) for kept in told if kept)


def _table(lab: Lab, arms: list[Arm], gains: dict[str, Gain], refused: dict[str, str]) -> Artifact:
    epsilon = lab.number("epsilon")
    rows = [_row(arm, gains.get(arm.name)) | {"epsilon": epsilon} for arm in arms]
    return lab.keep(
        "defences.json",
        title="Robust accuracy before and after each defence",
        media_type="application/json",
        data=json.dumps({"defences": rows, "refused": refused}, sort_keys=True).encode(),
    )


def _row(arm: Arm, gain: Gain | None) -> dict[str, Any]:
    def plain(estimate: Estimate) -> dict[str, Any]:
        return estimate.model_dump(mode="json")

    row: dict[str, Any] = {
        "defence": arm.name,
        "clean_accuracy": plain(_rate(arm.clean)),
        "robust_accuracy": plain(_interval(arm.aware)),
        "unaware_accuracy": plain(_interval(arm.unaware)),
        **{key: arm.told[key] for key in ("alarms", "curve", "settled", "fell_to", "passes")},
        "certified": arm.told.get("certified"),
        "model": (arm.told.get("artifact") or {}).get("digest"),
    }
    if gain is not None:
        row |= {
            "gain": plain(gain.aware),
            "unaware_gain": plain(gain.unaware),
            "effect": gain.effect,
        }
    return row
