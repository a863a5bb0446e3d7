import functools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.attacks.inference.dp_accounting import WITHOUT_BOUND, dp_accounting
from tasks.attacks.inference.dp_court import Trial, try_claim
from tasks.attacks.inference.dp_loop import MISTAKES, Settings, run_loop
from tasks.attacks.inference.dp_trial import dp_trial
from tasks.statistics.intervals import Floats

DECLARED = Settings(noise_multiplier=1.3, sample_rate=0.1, steps=20)
CLAIMED = 2.19
"""What the accountant gives for the declared settings at delta 1e-5; see the test below."""


def tried(mistake: str, *, seed: int = 1, runs: int = 60_000) -> Trial:
    def trainer(inside: NDArray[np.bool_], run_seed: int) -> Floats:
        return run_loop(DECLARED, inside, seed=run_seed, mistake=mistake)

    return try_claim(trainer, epsilon=CLAIMED, delta=1e-5, alpha=0.01, runs=runs, seed=seed)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_planted_mistake_is_convicted(mistake: str) -> None:
    trial = tried(mistake)
    assert trial.refuted
    assert trial.bound <= trial.ceiling


def test_a_right_loop_is_not_convicted() -> None:
    trials = [tried("", seed=seed, runs=2000) for seed in range(10, 30)]
    assert not any(trial.refuted for trial in trials)
    assert max(trial.bound for trial in trials) < CLAIMED
    assert min(trial.ceiling for trial in trials) > CLAIMED


def test_unknown_mistakes_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="is not one of"):
        run_loop(DECLARED, np.zeros(2, np.bool_), seed=0, mistake="typo")


def test_a_loop_too_long_to_repeat_says_so() -> None:
    reply = dp_trial(
        noise_multiplier=1.0, sample_rate=0.1, steps=10**6, epsilon=1.0, delta=1e-5, alpha=0.01,
        runs=5000, seed=0,
    )  # fmt: skip
    assert "too many" in reply.values["skipped"]


@functools.cache
def accounted(**changed: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "noise_multiplier": 1.3, "sample_rate": 0.1, "steps": 20, "delta": 1e-5,
    }  # fmt: skip
    return dp_accounting(**settings | changed).values


def test_two_accountants_agree_on_what_is_claimed() -> None:
    assert accounted()["prv"] == pytest.approx(CLAIMED, abs=0.02)
    assert accounted()["prv"] < accounted()["rdp"] < 1.3 * accounted()["prv"]


@pytest.mark.parametrize(
    "changed",
    [{"steps": 200}, {"sample_rate": 0.5}, {"noise_multiplier": 0.7}, {"delta": 1e-9}],
    ids=str,
)
def test_less_protection_is_a_larger_epsilon(changed: dict[str, Any]) -> None:
    assert accounted(**changed)["prv"] > accounted()["prv"] + 0.3


def test_no_noise_has_no_bound() -> None:
    assert accounted(noise_multiplier=0.0)["prv"] == WITHOUT_BOUND
