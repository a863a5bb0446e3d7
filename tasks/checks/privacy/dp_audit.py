"""Is the claimed differential privacy true, as far as anybody can tell?"""

from typing import Any, NamedTuple

import numpy as np

from tasks.attacks.inference.bavaria import bavaria
from tasks.checks.lab import Lab, NotApplicable, NotAvailable
from tasks.checks.privacy.audit_set import Audit, Blind, blind_baseline, drawn_audit
from tasks.checks.privacy.shadow_bank import bank_part, looked_at, shadow_bank
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Control, Measurement, Observation, Status
from tasks.domain.recipe import PrivacyRecipe
from tasks.domain.severity import Severity
from tasks.sandbox.protocol import Reply
from tasks.statistics.intervals import Floats
from tasks.statistics.one_run import one_run_ceiling, one_run_epsilon

CHECK, VERSION = "privacy.dp_audit", 1
ALPHA = 0.01
SHARES = (0.1, 0.5, 1.0)
"""Shares of the items that the auditor guesses about, surest first; each at a third of alpha."""
ROUNDING = 1.02
"""People round epsilons; the accountant's own error is 0.01."""
PROVABLE = 2.0
"""Any trial long enough to be held can refute this for a loop without noise."""
WEAK = 10.0
"""An epsilon above this bounds an attacker's odds by more than 20,000: hardly a protection."""
LOWEST_RATE = 0.8
"""A declared rate below this share of batch size over rows is not the rate that was used."""


class Answers(NamedTuple):
    """What the model's answers prove: a lower bound, and the most they could have proven."""

    bound: float
    ceiling: float
    guesses: int
    blind: Blind | None
    told: str


class Declared(NamedTuple):
    """What the declared recipe says about the claim, and what trying it showed."""

    accounts: dict[str, Any] = {}
    observations: tuple[Observation, ...] = ()
    controls: tuple[Control, ...] = ()


def measure(lab: Lab) -> Measurement:
    """Recomputes the claim, tries the declared loop, and bounds epsilon by the model's answers."""
    claimed = lab.subject.spec.claims.dp_epsilon
    if claimed is None:
        raise NotApplicable("no differential privacy is claimed (claims.dp_epsilon)")
    training = lab.subject.spec.training
    recipe = training.privacy if training else None
    # Before the model is opened: it must not have a say in what the recipe is worth.
    declared = _declared(lab, recipe, claimed) if recipe else Declared()
    answers = _answers(lab)
    if recipe is None and not answers.guesses:
        raise NotAvailable(
            "an epsilon is claimed, but the bundle declares no recipe (training.privacy) and no "
            "training data, so nothing can be recomputed or audited"
        )
    blind = (answers.blind.control(_rate(1.0), _rate(0.0)),) if answers.blind else ()
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=_detail(claimed, recipe, declared.accounts, answers),
        estimates={"epsilon_lower_bound": _bound(answers)},
        observations=declared.observations + tuple(_claim_seen(claimed, answers)),
        controls=declared.controls + blind,
        alarms=tuple(_alarms(recipe, claimed, answers)),
        limits=(
            "An audit gives a lower bound: a claim that stands is not proven.",
            answers.told,
            "The declared loop was run here; that the vendor's code does the same is believed.",
        ),
        method="accountants PRV and RDP on the declared recipe; sequential trial of the declared "
        "loop with a worst-case canary; one-run bound from the model's answers",
        facts={key: value for key, value in declared.accounts.items() if key != "mixing"},
        cost=lab.cost,
    )


def measure_part(lab: Lab, index: int) -> Reply:
    """Trains one block of shadow models; what :func:`measure` would train in its own child."""
    return bank_part(lab, drawn_audit(lab), index)


def _declared(lab: Lab, recipe: PrivacyRecipe, claimed: float) -> Declared:
    accounts = _accounts(lab, recipe)
    trial, controls = _trials(lab, recipe, accounts, claimed)
    accusations = _accusations(lab, recipe, accounts, claimed) + _tried(trial, claimed)
    told = accounts | {f"trial {key}": value for key, value in trial.items()}
    return Declared(dict(sorted(told.items())), tuple(accusations), tuple(controls))


def _claim_seen(claimed: float, answers: Answers) -> list[Observation]:
    """Notes a claim that the model's answers refute, and one that protects nobody."""
    found = []
    if answers.bound > claimed:
        told = f"the model's answers prove an epsilon of {answers.bound:.2f} at least"
        found.append(_seen("privacy.dp.refuted_by_answers", told))
    if claimed > WEAK:
        told = f"an epsilon of {claimed:g} protects hardly anybody, true or not"
        found.append(_seen("privacy.dp.weak", told, Severity.MEDIUM))
    return found


def _answers(lab: Lab) -> Answers:
    """Bounds epsilon by guessing who was in, from the model's answers alone.

    Members and others stand for canaries put in by coin; that holds when both come from one
    source, which the blind guess tests.
    """
    lab.admit_target()
    try:
        audit = drawn_audit(lab)
    except NotAvailable as reason:
        return Answers(0.0, 0.0, 0, None, f"No bound from answers: {reason}.")
    blind = blind_baseline(audit, seed=lab.seed)
    if blind.accuracy.low > 0.5:
        told = "No bound from answers: members and others differ in kind, so they are no canaries."
        return Answers(0.0, 0.0, 0, None, told)
    bank = shadow_bank(lab, audit)
    if lab.target().get("access") == "labels":
        return Answers(0.0, 0.0, 0, blind, "No bound from answers: the model gives labels only.")
    _, placed = looked_at(lab, audit, bank)
    looks = [
        bavaria(own, bank.confidence[:, look], bank.members) for look, own in enumerate(placed)
    ]
    signal: Floats = np.mean(looks, axis=0)
    return _guessed(audit, signal, blind, delta=_delta(lab))


def _guessed(audit: Audit, signal: Floats, blind: Blind, *, delta: float) -> Answers:
    order = np.argsort(-signal, kind="stable")
    found = []
    for share in SHARES:
        half = int(len(order) * share / 2)
        right = int(audit.members[order[:half]].sum() + (~audit.members[order[-half:]]).sum())
        bound = one_run_epsilon(
            right, 2 * half, delta=delta, items=len(order), alpha=ALPHA / len(SHARES)
        )
        found.append((bound, 2 * half, right))
    bound, guesses, right = max(found)
    ceiling = one_run_ceiling(len(order), delta=delta, alpha=ALPHA / len(SHARES))
    return Answers(
        bound,
        ceiling,
        guesses,
        blind,
        f"{right} of {guesses} guesses about members were right; with {len(order)} items no "
        f"epsilon above {ceiling:.2f} could have been proven.",
    )


def _accounts(lab: Lab, recipe: PrivacyRecipe) -> dict[str, Any]:
    """Recomputes epsilon; shuffled batches get no credit for sampling."""
    rate, steps = recipe.sample_rate, recipe.steps
    if recipe.sampling == "shuffle":
        rate, steps = 1.0, max(1, round(recipe.steps * recipe.sample_rate))
    architecture = lab.admit_target()
    reply = lab.run(
        "attacks.inference.dp_accounting",
        noise_multiplier=recipe.noise_multiplier,
        sample_rate=rate,
        steps=steps,
        delta=recipe.delta,
        architecture=str(architecture) if architecture else None,
    )
    return dict(reply.values)


def _accusations(
    lab: Lab, recipe: PrivacyRecipe, accounts: dict[str, Any], claimed: float
) -> list[Observation]:
    """Names what the declared recipe itself says against the claim."""
    found = []
    epsilon = float(accounts["prv"])
    if epsilon > claimed * ROUNDING:
        told = "without any bound" if epsilon >= 1e6 else f"{epsilon:.2f}"
        found.append(
            _seen(
                "privacy.dp.accounting",
                f"the declared recipe gives an epsilon of {told} at delta {recipe.delta:g}"
                + (
                    " (shuffled batches have no amplification)"
                    if recipe.sampling == "shuffle"
                    else ""
                ),
            )
        )
    if recipe.clipping != "example":
        found.append(
            _seen(
                "privacy.dp.clipping",
                f"gradients are clipped by {recipe.clipping}: what one row can change has no bound",
            )
        )
    if accounts["mixing"]:
        found.append(
            _seen("privacy.dp.batch_norm", f"rows are mixed by {', '.join(accounts['mixing'][:5])}")
        )
    return found + _inconsistencies(lab, recipe)


def _inconsistencies(lab: Lab, recipe: PrivacyRecipe) -> list[Observation]:
    """Compares the numbers told to the accountant with the rest of the recipe and the data."""
    training = lab.subject.spec.training
    assert training is not None, "a privacy recipe is part of a training recipe"
    found = []
    needed = training.epochs / recipe.sample_rate
    if recipe.steps < 0.9 * needed:
        found.append(
            _seen(
                "privacy.dp.steps",
                f"{training.epochs} epochs at rate {recipe.sample_rate:g} are {needed:.0f} steps, "
                f"the accountant was told {recipe.steps}",
            )
        )
    data = lab.subject.dataset("training")
    if data and data.rows:
        used = min(1.0, training.batch_size / data.rows)
        if recipe.sample_rate < LOWEST_RATE * used:
            found.append(
                Observation(
                    rule="privacy.dp.sample_rate",
                    # The data may be a sample of what was trained on; then the rate is right.
                    severity=Severity.MEDIUM,
                    detail=f"batches of {training.batch_size} from {data.rows} rows are a rate of "
                    f"{used:.4g}, the accountant was told {recipe.sample_rate:.4g}",
                )
            )
    return found


def _trials(
    lab: Lab, recipe: PrivacyRecipe, accounts: dict[str, Any], claimed: float
) -> tuple[dict[str, Any], list[Control]]:
    """Tries the claim on the declared loop; then a loop without noise, and an honest claim."""
    settings: dict[str, Any] = {
        "noise_multiplier": recipe.noise_multiplier,
        "sample_rate": recipe.sample_rate if recipe.sampling == "poisson" else 1.0,
        "steps": recipe.steps
        if recipe.sampling == "poisson"
        else max(1, round(recipe.steps * recipe.sample_rate)),
        "delta": recipe.delta,
        "alpha": ALPHA,
        "runs": lab.count("runs"),
    }

    def trial(epsilon: float, seed: int, mistake: str = "") -> dict[str, Any]:
        name = "attacks.inference.dp_trial"
        return lab.run(name, **settings, epsilon=epsilon, seed=seed, mistake=mistake).values

    tried = trial(claimed, lab.seed)
    if "skipped" in tried:
        return dict(tried), []
    easy = min(claimed, PROVABLE)
    planted = trial(easy, lab.seed + 1, "no_noise")
    honest = trial(float(accounts["prv"]), lab.seed + 2)
    return dict(tried), [
        _control("the declared loop without its noise", planted, easy, planted=True),
        _control(
            "the declared loop, epsilon as recomputed", honest, accounts["prv"], planted=False
        ),
    ]


def _control(name: str, trial: dict[str, Any], epsilon: float, *, planted: bool) -> Control:
    return Control(
        name=name,
        planted=planted,
        found=bool(trial["refuted"]),
        detail=f"epsilon {epsilon:.3g} was {'' if trial['refuted'] else 'not '}refuted in "
        f"{trial['runs']} runs; {trial['ceiling']:.2f} could have been proven",
    )


def _tried(trial: dict[str, Any], claimed: float) -> list[Observation]:
    if not trial.get("refuted"):
        return []
    return [
        _seen(
            "privacy.dp.refuted",
            f"the declared loop leaks an epsilon of {trial['bound']:.2f} at least, {claimed:g} is "
            f"claimed ({trial['runs']} runs, level {ALPHA:g})",
        )
    ]


def _alarms(recipe: PrivacyRecipe | None, claimed: float, answers: Answers) -> list[str]:
    if recipe is not None:
        return []
    alarms = ["the claim cannot be recomputed: the bundle declares no training.privacy recipe"]
    if answers.ceiling < claimed:
        alarms.append(
            f"these answers could prove {answers.ceiling:.2f} at most, less than the claimed "
            f"{claimed:g}: nothing could have been found"
        )
    return alarms


def _bound(answers: Answers) -> Estimate:
    return Estimate(
        value=answers.bound,
        low=answers.bound,
        high=max(answers.bound, answers.ceiling),
        confidence=1 - ALPHA,
        n=max(answers.guesses, 1),
    )


def _rate(value: float) -> Estimate:
    return Estimate.exact(value, n=1)


def _delta(lab: Lab) -> float:
    training = lab.subject.spec.training
    return training.privacy.delta if training and training.privacy else 1e-5


def _seen(rule: str, detail: str, severity: Severity = Severity.HIGH) -> Observation:
    return Observation(rule=rule, severity=severity, detail=detail, location="bundle.yaml")


def _detail(
    claimed: float, recipe: PrivacyRecipe | None, accounts: dict[str, Any], answers: Answers
) -> str:
    parts = [f"Claimed is an epsilon of {claimed:g}."]
    if recipe is not None:
        parts.append(
            f"The declared recipe gives {accounts['prv']:.3g} (PRV) and {accounts['rdp']:.3g} "
            f"(RDP) at delta {recipe.delta:g}."
        )
        if "trial skipped" in accounts:
            parts.append(f"Its loop was not tried: {accounts['trial skipped']}.")
        elif "trial ceiling" in accounts:
            parts.append(
                f"Its loop was tried {accounts['trial runs']} times: at least "
                f"{accounts['trial bound']:.2f} leaks; {accounts['trial ceiling']:.2f} could have "
                "been proven."
            )
    parts.append(answers.told)
    return " ".join(parts)
