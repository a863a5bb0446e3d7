"""Smallest changes against closed forms, and the contract of every search for them."""

from typing import Any

import numpy as np
import pytest
import torch

from tasks.attacks.evasion.ddn import ddn
from tasks.attacks.evasion.fmn import fmn
from tasks.attacks.evasion.norms import Norm, dual_lengths, lengths, projected
from tasks.attacks.evasion.sigma_zero import sigma_zero
from tasks.domain.errors import TargetError
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import predicted
from tests.tasks.attacks.evasion.victims import correct, linear, victim


def by_fmn_linf(target: Any, **settings: Any) -> Reply:
    return fmn(target, norm="linf", **settings)


def by_fmn_l2(target: Any, **settings: Any) -> Reply:
    return fmn(target, norm="l2", **settings)


def by_fmn_l1(target: Any, **settings: Any) -> Reply:
    return fmn(target, norm="l1", **settings)


def by_fmn_l0(target: Any, **settings: Any) -> Reply:
    return fmn(target, norm="l0", **settings)


def by_ddn(target: Any, **settings: Any) -> Reply:
    return ddn(target, **settings)


def by_sigma_zero(target: Any, **settings: Any) -> Reply:
    return sigma_zero(target, **settings)


SEARCHES: dict[str, tuple[Any, Norm]] = {
    "fmn linf": (by_fmn_linf, "linf"),
    "fmn l2": (by_fmn_l2, "l2"),
    "fmn l1": (by_fmn_l1, "l1"),
    "fmn l0": (by_fmn_l0, "l0"),
    "ddn": (by_ddn, "l2"),
    "sigma zero": (by_sigma_zero, "l0"),
}
EXACT = {name: search for name, search in SEARCHES.items() if name != "fmn l0"}
every_search = pytest.mark.parametrize(("search", "norm"), SEARCHES.values(), ids=SEARCHES)


@pytest.mark.parametrize("scale", [1.0, 40.0], ids=["soft", "saturated"])
@pytest.mark.parametrize(("search", "norm"), EXACT.values(), ids=EXACT)
def test_a_linear_model_gives_up_its_closed_form(search: Any, norm: Norm, scale: float) -> None:
    model = linear(scale=scale)
    reply = search(model.target, inputs=model.inputs, labels=model.labels, steps=100, targets=4)
    assert reply.arrays["found"].all()
    moved = reply.arrays["candidates"]
    scores = model.target.scores(moved)
    own = np.take_along_axis(scores, model.labels[:, None], axis=1)
    np.put_along_axis(scores, model.labels[:, None], -np.inf, axis=1)
    # The nearest one lies on the boundary, where a batch of another size rounds to the other side.
    assert (scores.max(axis=1) - own[:, 0] > -1e-5 * scale).all()
    change = torch.from_numpy(moved.astype(np.float64) - model.inputs)
    ratio = lengths(change, norm).numpy() / model.distances(norm)
    assert ratio.min() > 1 - 1e-3  # nothing can beat the closed form but by rounding
    assert ratio.max() <= 1.01


@every_search
def test_stays_in_the_range_and_tells_the_truth(search: Any, norm: Norm) -> None:
    target = victim()
    inputs, labels = correct(target, 20)
    reply = search(target, inputs=inputs, labels=labels, steps=40)
    moved, found = reply.arrays["candidates"], reply.arrays["found"]
    assert moved.min() >= 0
    assert moved.max() <= 1
    np.testing.assert_array_equal(predicted(target, moved) != labels, found)
    assert found.mean() > 0.9
    np.testing.assert_array_equal(moved[~found], inputs[~found])


@every_search
def test_a_point_does_not_depend_on_its_batch(search: Any, norm: Norm) -> None:
    target = victim()
    inputs, labels = correct(target, 8)
    whole = search(target, inputs=inputs, labels=labels, steps=20)
    half = search(target, inputs=inputs[4:], labels=labels[4:], steps=20)
    np.testing.assert_allclose(whole.arrays["candidates"][4:], half.arrays["candidates"], atol=2e-3)


@every_search
def test_counts_what_it_asked_and_nothing_is_no_work(search: Any, norm: Norm) -> None:
    target = victim()
    inputs, labels = correct(target, 5)
    before = target.meter.passes
    reply = search(target, inputs=inputs, labels=labels, steps=10)
    assert reply.values["passes"] == target.meter.passes - before > 0
    empty = search(target, inputs=inputs[:0], labels=labels[:0], steps=10)
    assert empty.arrays["candidates"].shape == (0, 1, 8, 8)
    assert empty.values["passes"] == 0


@every_search
def test_refuses_a_target_without_gradients(search: Any, norm: Norm) -> None:
    target = victim()
    target.module = None
    inputs, labels = correct(target, 2)
    with pytest.raises(TargetError, match="needs gradients"):
        search(target, inputs=inputs, labels=labels)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1", "l0"])
def test_projection_is_inside_idempotent_and_keeps_what_is_inside(norm: Norm) -> None:
    rng = np.random.default_rng(0)
    change = torch.from_numpy(rng.normal(size=(50, 3, 4)))
    radius = torch.from_numpy(rng.integers(1, 5, 50).astype(np.float64))
    once = projected(change, radius, norm)
    assert (lengths(once, norm) <= radius + 1e-9).all()
    torch.testing.assert_close(projected(once, radius, norm), once)
    torch.testing.assert_close(projected(change, torch.full((50,), torch.inf), norm), change)
    if norm != "l0":  # nearest: the rest is orthogonal to the ball, by the dual norm
        rest = change - once
        slack = (rest * once).flatten(1).sum(1) - radius * dual_lengths(rest, norm)
        assert (slack.abs() < 1e-8).all()
