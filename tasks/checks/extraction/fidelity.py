"""How well the model can be copied by asking it, beyond what its training data would give anyway.

Source: Orekondy et al. 2019, arXiv 1812.02766; fidelity after Jagielski et al. 2020, arXiv
1909.01838. The baseline is the same student taught by true labels on the same pool: only what the
copy agrees more than that came out of the model's answers.
"""

import json
from typing import Any, NamedTuple

import numpy as np

from tasks.attacks.extraction.strangers import strangers
from tasks.checks.evasion.cascade import answers, budget_of, fitting
from tasks.checks.extraction.agreement import (
    Split,
    agreement,
    chance_corrected,
    paired_gain,
    rate,
    settled,
    split,
    worst,
)
from tasks.checks.extraction.quota import Quota, recommended
from tasks.checks.lab import Lab, NotApplicable, NotAvailable
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Artifact, Control, Measurement, Status
from tasks.sandbox.protocol import Array, Reply

CHECK, VERSION = "extraction.fidelity", 2
FEWEST_ROWS = 40
SHARES = (0.03, 0.1, 0.3, 1.0)
CONTROL_BUDGET = 500
COPIED = 0.1
"""A control counts as copied when the copy agrees this much more than the baseline."""
STRATEGIES = ("knockoff_adaptive", "copycat", "jacobian", "active", "data_free")
ASKED_AGAIN = 32
RELATED = 0.2
"""Kappa below which labels and answers are strangers (slight, Landis and Koch 1977)."""


class Thief(NamedTuple):
    """What the thief owns, what it is judged on, and how the model answers that."""

    pool: Array
    labels: Array
    asked: Array
    """Held-out inputs, then strangers."""
    truth: Array
    """The model's class for each of ``asked``."""
    held: int
    kappa: float

    def split(self, claimed: Array) -> Split:
        """Compares a copy's classes with the model's."""
        return split(claimed, self.truth, self.held)


class Copies(NamedTuple):
    """Agreement of every copy that was made."""

    budgets: list[int]
    curve: list[Split]
    arms: dict[str, Split]
    changed: dict[str, float]
    baseline: Split
    untaught: Array
    """Classes that the baseline names for the held-out inputs."""
    others: dict[str, Split]
    monitors: dict[str, int | None]
    passes: int
    """Forwards and backwards of students; the model knows nothing of them."""


def measure(lab: Lab) -> Measurement:
    """Copies the model with growing budgets and compares each copy with the model."""
    described = lab.target()
    thief = _thief(lab)
    copies = _copied(lab, thief)
    confidence = 1 - 0.05 / (1 + len(copies.others))
    gains = [
        paired_gain(copy.held, copies.baseline.held, confidence)
        for copy in (copies.curve[-1], *copies.others.values())
    ]
    curve = [paired_gain(copy.held, copies.baseline.held) for copy in copies.curve]
    quota = recommended(copies.budgets, curve, lab.number("tolerated_gain"))
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=_detail(copies, worst(gains), quota),
        estimates=_estimates(copies, worst(gains)),
        controls=_controls(lab, thief, copies),
        alarms=tuple(_alarms(lab, thief, described)),
        limits=(*(str(note) for note in described.get("notes", ())), *_unseen(copies)),
        method=(
            "Knockoff with the first half of the evaluation data as pool, mixed pairs beyond it; "
            "agreement on the second half; paired difference to a student taught by true labels."
        ),
        facts=_facts(lab, thief, copies, quota, str(described["access"])),
        artifacts=(_curve(lab, copies, curve, quota), _quota(lab, copies, quota)),
        cost=lab.cost,
    )


def _thief(lab: Lab) -> Thief:
    model = lab.subject.spec.model
    if model.input is None or model.output is None or model.output.classes is None:
        raise NotApplicable("the bundle describes no classifier with a fixed input")
    classes = model.output.classes
    rows = fitting(lab.sample("evaluation", lab.count("rows")), model.input, classes)
    if len(rows.labels) < FEWEST_ROWS:
        raise NotAvailable(f"{len(rows.labels)} rows are too few, {FEWEST_ROWS} are needed")
    half = len(rows.labels) // 2
    if len(np.unique(rows.labels[:half])) < 2:
        raise NotAvailable("the rows are all of one class, so no copy can be told from another")
    held = rows.inputs[half:]
    budget = budget_of(model.input, 0)
    away = strangers(held, (budget.low, budget.high), seed=lab.seed)
    asked = np.concatenate([held, away])
    truth = answers(lab, asked).argmax(axis=1)
    kappa = chance_corrected(truth[: len(held)], rows.labels[half:], classes)
    if kappa < RELATED:
        raise NotAvailable(
            f"the labels and the model's answers have little to do with each other (kappa "
            f"{kappa:.2f}), so a copy taught by labels shows nothing: correct the labels"
        )
    return Thief(rows.inputs[:half], rows.labels[:half], asked, truth, len(held), kappa)


def _copied(lab: Lab, thief: Thief) -> Copies:
    most = lab.count("queries")
    budgets = sorted({max(10, round(share * most)) for share in SHARES})
    owned = {"pool": thief.pool, "labels": thief.labels, "held_out": thief.asked}
    reply = lab.run("attacks.extraction.knockoff", owned, budgets=budgets, seed=lab.seed)
    names = [str(name) for name in reply.values["arms"]]
    others, monitors = {}, {"knockoff": _alarm_at(reply)}
    passes = int(reply.values["student_passes"])
    for name in STRATEGIES if lab.count("strategies") else ():
        other = lab.run(f"attacks.extraction.{name}", owned, budget=most, seed=lab.seed)
        others[name] = thief.split(other.arrays["student"])
        monitors[name] = _alarm_at(other)
        passes += int(other.values["student_passes"])
    return Copies(
        budgets=budgets,
        curve=[thief.split(copy) for copy in reply.arrays["curve"]],
        arms={
            name: thief.split(copy) for name, copy in zip(names, reply.arrays["arms"], strict=True)
        },
        changed=dict(zip(names, reply.arrays["changed"].tolist(), strict=True)),
        baseline=thief.split(reply.arrays["baseline"]),
        untaught=reply.arrays["baseline"][: thief.held],
        others=others,
        monitors=monitors,
        passes=passes,
    )


def _alarm_at(reply: Reply) -> int | None:
    alarm = reply.values["monitor"]["alarm_at"]
    return None if alarm is None else int(alarm)


def _estimates(copies: Copies, gained: Estimate) -> dict[str, Estimate]:
    full = copies.curve[-1]
    by_arm = {f"fidelity_{name}": rate(copy.held) for name, copy in copies.arms.items()}
    by_arm |= {f"fidelity_{name}": rate(copy.held) for name, copy in copies.others.items()}
    return {
        "gain": gained,
        "fidelity": rate(full.held),
        "fidelity_off_distribution": rate(full.away),
        "baseline": rate(copies.baseline.held),
        "baseline_off_distribution": rate(copies.baseline.away),
        **by_arm,
    }


def _detail(copies: Copies, gained: Estimate, quota: Quota) -> str:
    full, alone = copies.curve[-1], copies.baseline
    return (
        f"A copy trained on {copies.budgets[-1]} answers agrees with the model on "
        f"{float(full.held.mean()):.1%} of unseen inputs ({float(full.away.mean()):.1%} off "
        f"distribution); trained on true labels instead, on {float(alone.held.mean()):.1%}. The "
        f"answers give a copy {gained.value:+.1%}. Recommended quota per client: {quota.queries} "
        f"queries, alert at {quota.alert_at} ({quota.basis})."
    )


def _alarms(lab: Lab, thief: Thief, described: dict[str, Any]) -> list[str]:
    """Doubts answers that do not stay the same: what is copied is then not what is compared."""
    again = answers(lab, thief.asked[:ASKED_AGAIN]).argmax(axis=1)
    changed = int((again != thief.truth[:ASKED_AGAIN]).sum())
    if changed:
        return [f"{changed} of {len(again)} inputs got another class when asked again"]
    if not described.get("deterministic", True):
        return ["the model answers differently to equal inputs"]
    return []


def _unseen(copies: Copies) -> tuple[str, ...]:
    blind = [name for name, alarm in copies.monitors.items() if alarm is None]
    seen = [f"{name} at query {alarm}" for name, alarm in copies.monitors.items() if alarm]
    told = f"A monitor of query distances (PRADA) would report {', '.join(seen) or 'nothing'}"
    return (f"{told}; it would not see {', '.join(blind)}." if blind else f"{told}.",)


def _facts(
    lab: Lab, thief: Thief, copies: Copies, quota: Quota, access: str
) -> dict[str, str | int | float | bool | None]:
    tolerated = lab.number("tolerated_gain")
    facts: dict[str, str | int | float | bool | None] = {
        "access": access,
        "queries": copies.budgets[-1],
        "pool": len(thief.pool),
        "held_out": thief.held,
        "kappa": round(thief.kappa, 4),
        "student_passes": copies.passes,
        "tolerated_gain": tolerated,
        "quota_queries": quota.queries,
        "quota_alert_at": quota.alert_at,
        "quota_crossed_at": quota.crossed_at,
        "sequential_test": settled(copies.curve[-1].held, copies.baseline.held, tolerated),
    }
    for name, share in copies.changed.items():
        facts[f"answers_changed_by_{name}"] = round(share, 4)
    for name, alarm in copies.monitors.items():
        facts[f"distance_monitor_sees_{name}_at"] = alarm
    return facts


def _controls(lab: Lab, thief: Thief, copies: Copies) -> tuple[Control, ...]:
    held = thief.asked[: thief.held]
    reply = lab.run(
        "attacks.extraction.copy_controls",
        {"pool": thief.pool, "held_out": held},
        budget=min(CONTROL_BUDGET, lab.count("queries")),
        seed=lab.seed,
    )
    return (
        _control(reply, copies.untaught, "linear", planted=True, name="linear rule"),
        _control(reply, copies.untaught, "dice", planted=False, name="dice"),
    )


def _control(reply: Reply, untaught: Array, victim: str, *, planted: bool, name: str) -> Control:
    truth = reply.arrays[victim]
    copy = agreement(reply.arrays[f"{victim}_copy"], truth)
    gained = paired_gain(copy, agreement(untaught, truth))
    return Control(
        name=name,
        planted=planted,
        found=gained.low > COPIED,
        estimate=gained,
        detail=f"the copy agrees on {float(copy.mean()):.1%} of unseen inputs",
    )


def _curve(lab: Lab, copies: Copies, gains: list[Estimate], quota: Quota) -> Artifact:
    document = {
        "points": [
            {"queries": at, **_span("fidelity", copy.held), "gain": gain.value}
            for at, copy, gain in zip(copies.budgets, copies.curve, gains, strict=True)
        ],
        "baseline": float(copies.baseline.held.mean()),
        "quota": quota.queries,
        "others": {
            name: float(copy.held.mean()) for name, copy in (copies.arms | copies.others).items()
        },
    }
    return lab.keep(
        "curve.json",
        title="Agreement of the copy by number of queries",
        media_type="application/json",
        data=json.dumps(document, sort_keys=True).encode(),
    )


def _span(name: str, agreed: Array) -> dict[str, float]:
    found = rate(agreed)
    return {name: found.value, "low": found.low, "high": found.high}


def _quota(lab: Lab, copies: Copies, quota: Quota) -> Artifact:
    document = quota.document(tolerated=lab.number("tolerated_gain"), monitors=copies.monitors)
    return lab.keep(
        "quota.json",
        title="How many answers one client may have, for a gateway",
        media_type="application/json",
        data=json.dumps(document, sort_keys=True).encode(),
    )
