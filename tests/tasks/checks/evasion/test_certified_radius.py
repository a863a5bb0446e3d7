"""A certificate is never exceeded by any attack that is found, and costs fewer votes than fixed."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import special

from tasks.attacks.evasion.ddn import ddn
from tasks.attacks.evasion.smoothing import votes
from tasks.checks.evasion.certified_radius import certified, measure, radius_of
from tasks.checks.evasion.referee import population
from tasks.checks.lab import Lab
from tasks.domain.bundle import ModelSpec
from tasks.targets.torch_target import TorchTarget
from tests.tasks.attacks.evasion.victims import correct, victim
from tests.tasks.targets.models import description, digits, lab_for, trained, write_model

CHECK = "evasion.certified_radius"
SIGMA = 0.25


def bench(folder: Path, **parameters: Any) -> Lab:
    write_model(folder, trained(adversarial_epsilon=0.1))
    chosen = {"points": 20, "sigma": SIGMA, "radius": 0.2, "votes": 600} | parameters
    return lab_for(folder, CHECK, model=description(), evaluation=digits().test, parameters=chosen)


class Smoothed(torch.nn.Module):
    """The vote as a differentiable model: mean probabilities under noise that stays the same."""

    def __init__(self, draws: int = 48) -> None:
        super().__init__()
        self.inner = trained(adversarial_epsilon=0.1)
        generator = torch.Generator().manual_seed(1)
        self.noise = SIGMA * torch.randn((draws, 1, 8, 8), generator=generator)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        noisy = (inputs[:, None] + self.noise).reshape(-1, 1, 8, 8)
        mean = self.inner(noisy).softmax(1).reshape(len(inputs), len(self.noise), 10).mean(1)
        scores: torch.Tensor = mean.clamp_min(1e-30).log()
        return scores


def test_no_attack_reaches_into_a_certificate(tmp_path: Path) -> None:
    lab = bench(tmp_path)
    people = population(lab, points=20, access="labels")
    found = certified(lab, people, wanted=10.0)  # never settled early: the largest radii
    kept = np.flatnonzero((found.chosen == people.labels) & (found.radius > 0))
    assert len(kept) > 10
    smoothed = TorchTarget(Smoothed(), ModelSpec.model_validate(description()), kind="smoothed")
    reply = ddn(smoothed, inputs=people.inputs[kept], labels=people.labels[kept], steps=30)
    moved = reply.arrays["candidates"]
    length = np.linalg.norm((moved - people.inputs[kept]).reshape(len(kept), -1), axis=1)
    inside = np.flatnonzero(reply.arrays["found"] & (length < found.radius[kept]))
    # The attack sees 48 fixed draws: whoever fell inside must stand up when asked with many.
    if len(inside):
        asked = votes(
            victim(adversarial_epsilon=0.1), inputs=moved[inside], sigma=SIGMA, draws=4000,
            round_=99,
        ).arrays["classes"]  # fmt: skip
        for row, given in zip(kept[inside], asked, strict=True):
            assert np.bincount(given, minlength=10).argmax() == people.labels[row]
    assert reply.arrays["found"].mean() > 0.5  # the attack is no straw man


def test_measures_controls_and_saves_votes(tmp_path: Path) -> None:
    found = measure(bench(tmp_path))
    assert [control.name for control in found.controls if not control.held] == []
    assert found.estimates["certified_accuracy"].value > 0.3
    assert found.estimates["certified_accuracy"].value <= found.estimates["smoothed_accuracy"].value
    assert float(found.facts["votes_mean"] or 0) < 650 / 2
    assert found.alarms == ()


def test_a_larger_radius_is_certified_less_often(tmp_path: Path) -> None:
    rates = []
    for radius in (0.1, 0.6):
        (tmp_path / str(radius)).mkdir()
        found = measure(bench(tmp_path / str(radius), radius=radius))
        rates.append(found.estimates["certified_accuracy"].value)
    assert rates[1] < rates[0]


def test_the_radius_is_that_of_the_theorem() -> None:
    share = np.array([0.3, 0.5, special.ndtr(1.0), special.ndtr(2.0)])
    np.testing.assert_allclose(radius_of(share, 0.5), [0, 0, 0.5, 1.0], atol=1e-9)


def test_votes_do_not_depend_on_the_batch_and_rounds_differ() -> None:
    target = victim()
    inputs, _ = correct(target, 6)
    settings: dict[str, Any] = {"sigma": 0.5, "draws": 30}
    whole = votes(target, inputs=inputs, round_=1, **settings).arrays["classes"]
    half = votes(target, inputs=inputs[3:], round_=1, **settings).arrays["classes"]
    other = votes(target, inputs=inputs, round_=2, **settings).arrays["classes"]
    np.testing.assert_array_equal(whole[3:], half)
    assert not np.array_equal(whole, other)
