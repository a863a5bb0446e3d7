"""Searches by labels alone: contract, counted queries, and closeness to the closed form."""

from typing import Any

import numpy as np
import pytest
import torch

from tasks.attacks.evasion.fmn import fmn
from tasks.attacks.evasion.hop_skip_jump import hop_skip_jump
from tasks.attacks.evasion.norms import Norm, lengths
from tasks.attacks.evasion.rays import rays
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Scores, predicted
from tests.tasks.attacks.evasion.victims import correct, linear, victim


def by_hop_l2(target: Any, **settings: Any) -> Reply:
    return hop_skip_jump(target, norm="l2", **settings)


def by_hop_linf(target: Any, **settings: Any) -> Reply:
    return hop_skip_jump(target, norm="linf", **settings)


def by_rays(target: Any, **settings: Any) -> Reply:
    return rays(target, **settings)


ATTACKS: dict[str, tuple[Any, Norm]] = {
    "hop l2": (by_hop_l2, "l2"),
    "hop linf": (by_hop_linf, "linf"),
    "rays": (by_rays, "linf"),
}
every_attack = pytest.mark.parametrize(("attack", "norm"), ATTACKS.values(), ids=ATTACKS)


class LabelsOnly:
    """A victim that hides all but the class, and what is behind it."""

    def __init__(self, target: Any) -> None:
        self.target = target
        self.module = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.target, name)

    def scores(self, inputs: Images) -> Scores:
        one_hot: Scores = np.eye(self.target.classes, dtype=np.float32)[
            predicted(self.target, inputs)
        ]
        return one_hot


@every_attack
def test_tells_the_truth_and_counts_every_label(attack: Any, norm: Norm) -> None:
    target = LabelsOnly(victim())
    inputs, labels = correct(victim(), 15)
    before = target.meter.forwards
    reply = attack(target, inputs=inputs, labels=labels, queries=400)
    asked = target.meter.forwards - before
    assert asked == reply.values["queries"] == reply.arrays["asked"].sum()
    assert reply.arrays["asked"].max() <= 400
    moved, found = reply.arrays["candidates"], reply.arrays["found"]
    assert 0 <= moved.min() <= moved.max() <= 1
    np.testing.assert_array_equal(predicted(victim(), moved) != labels, found)
    assert found.mean() > 0.9


@every_attack
def test_a_point_does_not_depend_on_its_batch(attack: Any, norm: Norm) -> None:
    target = victim()
    inputs, labels = correct(target, 6)
    whole = attack(target, inputs=inputs, labels=labels, queries=300)
    half = attack(target, inputs=inputs[3:], labels=labels[3:], queries=300)
    np.testing.assert_allclose(whole.arrays["candidates"][3:], half.arrays["candidates"], atol=1e-4)


@every_attack
def test_more_labels_come_closer(attack: Any, norm: Norm) -> None:
    model = linear(points=10)
    sizes = []
    for queries in (150, 3000):
        reply = attack(model.target, inputs=model.inputs, labels=model.labels, queries=queries)
        change = torch.from_numpy(reply.arrays["candidates"].astype(np.float64) - model.inputs)
        sizes.append(lengths(change, norm).numpy() / model.distances(norm))
    assert sizes[1].min() > 0.999  # nothing can beat the closed form
    assert np.median(sizes[1]) < 1.25
    assert np.median(sizes[1]) < np.median(sizes[0])


@every_attack
def test_no_points_are_no_work(attack: Any, norm: Norm) -> None:
    target = victim()
    inputs, labels = correct(target, 1)
    reply = attack(target, inputs=inputs[:0], labels=labels[:0], queries=100)
    assert reply.arrays["candidates"].shape == (0, 1, 8, 8)
    assert reply.values["passes"] == 0


def test_seeds_matter_to_the_one_that_draws() -> None:
    model = linear(points=4)
    first, again, other = (
        hop_skip_jump(
            model.target, inputs=model.inputs, labels=model.labels, queries=300, seed=seed
        ).arrays["candidates"]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_stops_at_the_radius_that_was_asked_for() -> None:
    target = victim()
    inputs, labels = correct(target, 10)
    few = rays(target, inputs=inputs, labels=labels, queries=2000, epsilon=0.3)
    many = rays(target, inputs=inputs, labels=labels, queries=2000)
    assert few.values["queries"] < many.values["queries"] / 2
    assert np.abs(few.arrays["candidates"] - inputs).max() <= 0.3 + 1e-6
    assert few.arrays["found"].mean() > 0.8


def test_comes_near_what_gradients_find() -> None:
    target = victim()
    inputs, labels = correct(target, 10)
    white = fmn(target, inputs=inputs, labels=labels, norm="l2").arrays["candidates"]
    black = hop_skip_jump(target, inputs=inputs, labels=labels, queries=3000).arrays["candidates"]
    ratio = np.linalg.norm((black - inputs).reshape(10, -1), axis=1) / np.linalg.norm(
        (white - inputs).reshape(10, -1), axis=1
    )
    assert np.median(ratio) < 1.5
