"""Shadows: many small models of one architecture with known answers, half of them poisoned.

Honest models differ by more than their random start: some vendors train long, some with noise,
some against moved inputs. Shadows are trained in as many ways, honest and poisoned alike, so that
how a model was trained says nothing about what is hidden in it.
"""

import copy
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tasks.attacks.inference.side_by_side import Answer, Stack, fresh_weights, side_by_side
from tasks.detectors.backdoor.controls import reset
from tasks.detectors.backdoor.inversion import Pool
from tasks.detectors.backdoor.jumbo import Backdoor, drawn_backdoor, obedience, poisoned_rows
from tasks.targets.torch_target import RawScores

BATCH = 50
LEARNING_RATE = 3e-3


class Style(NamedTuple):
    """A way to train: how long, as a multiple, and what is done to each input first.

    ``noise`` and ``moved`` are the largest of a group, in parts of the raw range; each shadow has
    its own share of it. ``moved`` is along the sign of the gradient (Goodfellow et al. 2015).
    ``shifted`` is by so many pixels at most, up or down and left or right, which stands for more
    pictures than there are. ``rows`` is the part of the pool that a shadow sees, at least: vendors
    have more or fewer.
    """

    length: float
    noise: float = 0.0
    moved: float = 0.0
    shifted: int = 0
    rows: float = 0.4


STYLES = (Style(1.0), Style(1.0, noise=0.3), Style(1.0, shifted=1), Style(0.7, moved=0.15))
LONGER = Style(2.0, rows=1.0)
"""How a control is trained that no meta classifier saw the like of."""


class Shadows(NamedTuple):
    """Trained models: weights (shadows, …), and of each what is known of it (shadows,).

    ``learnt`` is the accuracy on the pool, ``obeyed`` how often the trigger works (0 without one),
    ``style`` the place among ``STYLES``.
    """

    network: nn.Module
    weights: Stack
    planted: NDArray[np.bool_]
    learnt: NDArray[np.float64]
    obeyed: NDArray[np.float64]
    style: NDArray[np.int64]


class Job(NamedTuple):
    """What a group is made of; ``planted`` (shadows,) says which get a backdoor."""

    pool: Pool
    bounds: tuple[float, float]
    classes: int
    planted: NDArray[np.bool_]
    steps: int
    seed: int


class School(NamedTuple):
    """What a group learns from: the pool, and what is different about it for each shadow.

    Of its rows, ordered as ``order`` (shadows, n), a shadow sees the first ``known`` (shadows,).
    ``opacity`` and ``pattern`` (shadows, *item) are the triggers, ``marked`` (shadows, n) the rows
    that carry them, ``labels`` (shadows, n) what each shadow is told.
    """

    pool: Pool
    bounds: tuple[float, float]
    order: torch.Tensor
    known: torch.Tensor
    opacity: torch.Tensor
    pattern: torch.Tensor
    marked: torch.Tensor
    labels: torch.Tensor

    def batch(self, shifted: int, generator: torch.Generator) -> Pool:
        """Draws inputs (shadows, ``BATCH``, *item) with their triggers, and labels."""
        shadows = len(self.marked)
        chosen = torch.rand((shadows, BATCH), generator=generator) * self.known[:, None]
        drawn = self.order.gather(1, chosen.long().clamp_max(self.order.shape[1] - 1))
        who = torch.arange(shadows)[:, None]
        inputs = _shifted(self.pool.inputs[drawn], shifted, generator)
        marked = self.marked[who, drawn].view(shadows, BATCH, *[1] * (inputs.ndim - 2))
        shown = inputs + marked * self.opacity[:, None] * (self.pattern[:, None] - inputs)
        return Pool(shown, self.labels[who, drawn])


def shadow_zoo(
    network: nn.Module,
    pool: Pool,
    bounds: tuple[float, float],
    classes: int,
    *,
    count: int,
    steps: int,
    seed: int,
) -> Shadows:
    """Trains shadows of a network that is ``stackable``.

    Args:
        network: Its weights are not used.
        pool: What shadows learn from, raw.
        bounds: Raw range of inputs.
        classes: At least two.
        count: Shadows; rounded up so that each style has as many honest as poisoned ones.
        steps: Descents of ``BATCH`` inputs for a style of length 1. Cost: about 3.4 * count * steps
            * ``BATCH`` passes of networks that are not the target.
        seed: Draws weights, backdoors and batches.

    Returns:
        All that answer numbers after training.
    """
    planted = np.arange(2 * max(1, -(-count // (2 * len(STYLES))))) % 2 == 1
    groups = []
    for place, style in enumerate(STYLES):
        job = Job(pool, bounds, classes, planted, steps, seed + place)
        made = trained_group(network, style, job)
        groups.append(made._replace(style=np.full(len(made.planted), place)))
    return _together(groups)


def stackable(module: nn.Module, pool: Pool) -> nn.Module | None:
    """Returns a copy that can train side by side with others, or None."""
    if not any(weight.dim() > 1 for weight in module.parameters()):
        return None
    made = copy.deepcopy(module)
    if isinstance(made, RawScores):
        made.by_pixel = False  # vmap cannot ask how memory is ordered
    try:
        weights = fresh_weights(made, 2, draw=reset)
        batch = pool.inputs[:2].expand(2, *pool.inputs[:2].shape)
        side_by_side(made)(weights, batch).sum().backward()
    except RuntimeError:  # what a vendor's graph does may have no batched form
        return None
    return made


def trained_group(network: nn.Module, style: Style, job: Job) -> Shadows:
    """Trains one group of shadows in one style; leaves out those that answer no numbers."""
    rng = np.random.default_rng(job.seed)
    pool, item = job.pool, tuple(job.pool.inputs.shape[1:])
    lessons = [
        drawn_backdoor(item, job.bounds, job.classes, rng) if poisoned else None
        for poisoned in job.planted
    ]
    weights = _trained(network, _school(job, style, lessons, rng), style, job)
    plain = _logits(network, weights, [pool.inputs] * len(lessons))
    triggered = [pool.inputs if one is None else one.on(pool.inputs) for one in lessons]
    said = _logits(network, weights, triggered)
    obeyed = [
        0.0 if one is None else obedience(logits.argmax(1), pool, one)
        for logits, one in zip(said, lessons, strict=True)
    ]
    sound = plain.isfinite().all(2).all(1) & said.isfinite().all(2).all(1)
    kept = sound.numpy()
    return Shadows(
        network,
        {name: weight[sound] for name, weight in weights.items()},
        job.planted[kept],
        (plain.argmax(2) == pool.labels).double().mean(1).numpy()[kept],
        np.array(obeyed)[kept],
        np.zeros(int(kept.sum()), np.int64),
    )


def _school(
    job: Job, style: Style, lessons: list[Backdoor | None], rng: np.random.Generator
) -> School:
    pool = job.pool
    nothing = torch.zeros(pool.inputs.shape[1:])
    rows = len(pool.labels)
    known = rng.uniform(style.rows * rows, rows, len(lessons))
    marked = [
        torch.zeros(rows, dtype=torch.bool) if one is None else poisoned_rows(pool.labels, one, rng)
        for one in lessons
    ]
    labels = [
        pool.labels if one is None else torch.where(poison, one.mapping[pool.labels], pool.labels)
        for poison, one in zip(marked, lessons, strict=True)
    ]
    return School(
        pool,
        job.bounds,
        torch.from_numpy(np.stack([rng.permutation(rows) for _ in lessons])),
        torch.from_numpy(known.astype(np.float32)),
        torch.stack([nothing if one is None else one.opacity for one in lessons]),
        torch.stack([nothing if one is None else one.pattern for one in lessons]),
        torch.stack(marked),
        torch.stack(labels),
    )


def _trained(network: nn.Module, school: School, style: Style, job: Job) -> Stack:
    torch.manual_seed(job.seed)
    generator = torch.Generator().manual_seed(job.seed)
    steps, shadows = round(style.length * job.steps), len(job.planted)
    weights = fresh_weights(network, shadows, draw=reset)
    each = side_by_side(network)
    optimiser = torch.optim.Adam(list(weights.values()), LEARNING_RATE)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=max(1, steps))
    low, high = job.bounds
    share = torch.linspace(0.25, 1, shadows)[torch.randperm(shadows, generator=generator)]
    size = (high - low) * share.view(-1, *[1] * job.pool.inputs.ndim)
    for _ in range(steps):
        shown, labels = school.batch(style.shifted, generator)
        if style.noise:
            noise = torch.randn(shown.shape, generator=generator)
            shown = (shown + style.noise * size * noise).clamp(low, high)
        if style.moved:
            uphill = _slope(each, weights, shown, labels).sign()
            shown = (shown + style.moved * size * uphill).clamp(low, high)
        optimiser.zero_grad(set_to_none=True)
        (_loss(each(weights, shown), labels) / BATCH).backward()
        optimiser.step()
        plan.step()
    return {name: value.detach() for name, value in weights.items()}


def _loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Returns the sum over shadows and inputs, so that each shadow's gradient is its own."""
    return nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")


def _slope(each: Answer, weights: Stack, shown: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Returns the gradient of the loss by the inputs."""
    free = shown.clone().requires_grad_()
    frozen = {name: value.detach() for name, value in weights.items()}
    (slope,) = torch.autograd.grad(_loss(each(frozen, free), labels), free)
    return slope


def _shifted(inputs: torch.Tensor, most: int, generator: torch.Generator) -> torch.Tensor:
    """Moves pictures (shadows, batch, channels, height, width) together; the edge is repeated."""
    if not most or inputs.ndim != 5:
        return inputs
    down, right = torch.randint(2 * most + 1, (2,), generator=generator).tolist()
    wide = nn.functional.pad(inputs.flatten(0, 1), [most] * 4, mode="replicate")
    height, width = inputs.shape[-2:]
    return wide[..., down : down + height, right : right + width].reshape(inputs.shape)


def _logits(network: nn.Module, weights: Stack, inputs: list[torch.Tensor]) -> torch.Tensor:
    """Returns what each shadow answers to its own inputs (shadows, n, classes)."""
    each = side_by_side(network)
    with torch.no_grad():
        parts = [
            each(weights, torch.stack([one[rows] for one in inputs]))
            for rows in _slices(len(inputs[0]))
        ]
    return torch.cat(parts, dim=1)


def _slices(rows: int) -> Iterator[slice]:
    for start in range(0, rows, 2 * BATCH):
        yield slice(start, start + 2 * BATCH)


def _together(groups: list[Shadows]) -> Shadows:
    first = groups[0]
    return Shadows(
        first.network,
        {name: torch.cat([one.weights[name] for one in groups]) for name in first.weights},
        np.concatenate([one.planted for one in groups]),
        np.concatenate([one.learnt for one in groups]),
        np.concatenate([one.obeyed for one in groups]),
        np.concatenate([one.style for one in groups]),
    )
