"""What searches for the smallest change have in common: where to aim, what to keep, when to stop.

A point is tried once per aim. Aims are the wrong classes that a linear model with the point's own
gradients would reach first (Moosavi-Dezfooli et al. 2016, arXiv 1511.04599, equation 8). A search
leaves the batch when it has stopped getting shorter, and a further aim is not tried at all where
that model says that it lies much farther than the witness that is known already.
"""

import copy
import math
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.attacks.evasion.keyed import generator_for
from tasks.attacks.evasion.norms import Norm, dual_lengths, lengths
from tasks.domain.errors import TargetError
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target
from tasks.targets.torch_target import chunks

CONSIDERED = 10
"""Wrong classes whose gradient is asked for, the highest scored first."""
PATIENCE, LITTLE = 0.5, 0.9999
"""A search ends when it got no shorter than ``LITTLE`` times its length in this share of steps."""
FARTHER = 1.25
"""An aim this many times farther, to first order, than a known witness is not tried."""
HALVINGS = 12
"""Halvings of the way back to the clean input; the last leaves 1/4096 of the change."""


class Jobs(NamedTuple):
    """Points under attack, each with one aim; every field has one row per point."""

    clean: torch.Tensor
    labels: torch.Tensor
    aims: torch.Tensor
    low: float
    high: float
    random: torch.Tensor
    """A direction of each point's own, for where there is no slope."""

    def rows(self, rows: torch.Tensor) -> "Jobs":
        """Returns some of the points."""
        return self._replace(
            clean=self.clean[rows],
            labels=self.labels[rows],
            aims=self.aims[rows],
            random=self.random[rows],
        )

    def kept_in_range(self, change: torch.Tensor) -> torch.Tensor:
        """Returns ``change`` cut so that the moved points stay in the input range."""
        return (self.clean + change).clamp(self.low, self.high) - self.clean


class Slopes(NamedTuple):
    """How far the true class leads the aimed-at one, which way down, and who lost already."""

    lead: torch.Tensor
    gradient: torch.Tensor
    broken: torch.Tensor

    def rows(self, rows: torch.Tensor) -> "Slopes":
        """Returns what holds of some of the points."""
        return Slopes(self.lead[rows], self.gradient[rows], self.broken[rows])


class Closest:
    """Keeps the shortest change that broke each point of a batch."""

    def __init__(self, jobs: Jobs, norm: Norm) -> None:
        self.norm: Norm = norm
        self.change = torch.zeros_like(jobs.clean)
        self.length = torch.full((len(jobs.clean),), math.inf)

    def note(self, change: torch.Tensor, broken: torch.Tensor) -> None:
        """Takes the changes that break and are shorter than what was known."""
        size = lengths(change, self.norm)
        better = broken & (size < self.length)
        self.length = torch.where(better, size, self.length)
        self.change = torch.where(wide(better, change), change, self.change)

    def rows(self, rows: torch.Tensor | slice) -> "Closest":
        """Returns what is known of some of the points."""
        some = copy.copy(self)
        some.change, some.length = self.change[rows], self.length[rows]
        return some

    def take(self, rows: torch.Tensor, other: "Closest") -> None:
        """Takes what is shorter in ``other``, which is about some of the points."""
        better = other.length < self.length[rows]
        self.change[rows[better]] = other.change[better]
        self.length[rows[better]] = other.length[better]


class Standing(NamedTuple):
    """Where points stand before a step; every field has one row per point."""

    change: torch.Tensor
    memory: torch.Tensor
    found: Slopes
    closest: Closest


class Way(Protocol):
    """How an attack moves. ``memory`` holds what it carries from step to step, one per point."""

    norm: Norm

    def begin(self, jobs: Jobs) -> torch.Tensor:
        """Returns the memory of points that have not moved yet (m,)."""

    def step(self, jobs: Jobs, here: Standing, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the next change (m, …) and the next memory (m,)."""

    def finish(self, target: Target, jobs: Jobs, closest: Closest) -> None:
        """Makes witnesses shorter when the last step is done."""


def smallest_changes(
    target: Target,
    inputs: Images,
    labels: Labels,
    *,
    way: Way,
    steps: int,
    targets: int,
    seed: int,
) -> Reply:
    """Goes ``way`` for each point and aim; keeps the closest witness of each point.

    Args:
        target: Victim that reveals gradients.
        inputs: (n, …) float32, raw values within ``target.bounds``, correctly classified.
        labels: (n,) true classes.
        way: How to move, and in which norm changes are short.
        steps: Most steps per point and aim; each costs one forward and one backward.
        targets: Most wrong classes to aim at.
        seed: Equal seeds give equal outputs, whatever else is in the batch.

    Returns:
        Arrays ``candidates`` (like ``inputs``; the clean input where nothing was found) and
        ``found`` (n,); values ``passes`` and ``queries``. The caller measures both again.

    Raises:
        TargetError: The target reveals no gradients.
    """
    if target.module is None:
        raise TargetError("this attack needs gradients, the target reveals only scores")
    before = target.meter.forwards, target.meter.backwards
    clean = np.ascontiguousarray(inputs, dtype=np.float32)
    candidates, found = clean.copy(), np.zeros(len(labels), dtype=bool)
    for part in chunks(len(labels), target.input_shape):
        change, broken = _one_batch(
            target, clean[part], labels[part], way=way, steps=steps, targets=targets, seed=seed
        )
        moved = torch.from_numpy(clean[part]) + change
        candidates[part] = moved.clamp(*target.bounds).numpy()
        found[part] = broken
    forwards = target.meter.forwards - before[0]
    backwards = target.meter.backwards - before[1]
    return Reply(
        {"candidates": candidates, "found": found},
        {"passes": forwards + backwards, "queries": forwards},
    )


def slopes(target: Target, jobs: Jobs, change: torch.Tensor) -> Slopes:
    """Evaluates each moved point: one forward and one backward."""
    assert target.module is not None
    rows = torch.arange(len(jobs.labels))
    with torch.enable_grad():
        now = (jobs.clean + change).requires_grad_()
        scores = target.module(now)
        lead = scores[rows, jobs.labels] - scores[rows, jobs.aims]
        (gradient,) = torch.autograd.grad(lead.sum(), now)
    now = now.detach()
    # Values at an end of the range that could only leave it are no way down.
    stuck = ((now <= jobs.low) & (gradient > 0)) | ((now >= jobs.high) & (gradient < 0))
    free = torch.where(stuck, 0.0, gradient)
    return Slopes(lead.detach(), free, lost(scores.detach(), jobs.labels))


def lost(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Answers where another class is scored higher than the true one (n,)."""
    own = scores.gather(1, labels[:, None]).squeeze(1)
    return scores.amax(dim=1) > own


def annealed(first: float, last: float, step: int, steps: int) -> float:
    """Returns the value at ``step`` on half a cosine from ``first`` down to ``last``."""
    return last + (first - last) * (1 + math.cos(math.pi * step / max(1, steps))) / 2


def downhill(found: Slopes, jobs: Jobs) -> torch.Tensor:
    """Returns the direction in which the lead falls; the point's own where it is flat."""
    flat = found.gradient.flatten(1).abs().amax(dim=1) == 0
    return torch.where(wide(flat, found.gradient), jobs.random, -found.gradient)


def wide(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Returns (n,) values shaped so that they combine with (n, …) ones."""
    return values.reshape(-1, *(1,) * (like.dim() - 1))


def _one_batch(
    target: Target,
    clean: Images,
    labels: Labels,
    *,
    way: Way,
    steps: int,
    targets: int,
    seed: int,
) -> tuple[torch.Tensor, NDArray[np.bool_]]:
    points, true = torch.from_numpy(clean), torch.from_numpy(labels.astype(np.int64))
    ranked, reach = _ranked(target, points, true, way.norm)
    random = np.stack(
        [generator_for(item, seed=seed, purpose="flat").normal(size=item.shape) for item in clean]
    )
    whole = Jobs(
        points, true, ranked[:, 0], *target.bounds, torch.from_numpy(random).float()
    )  # fmt: skip
    overall = Closest(whole, way.norm)
    for rank in range(min(targets, ranked.shape[1])):
        rows = (reach[:, rank] <= FARTHER * overall.length).nonzero().squeeze(1)
        if not len(rows):
            continue
        jobs = whole._replace(aims=ranked[:, rank]).rows(rows)
        closest = descend(target, jobs, way, steps)
        way.finish(target, jobs, closest)
        if way.norm != "l0":
            _tighten(target, jobs, closest)
        overall.take(rows, closest)
    return overall.change, torch.isfinite(overall.length).numpy()


def descend(target: Target, jobs: Jobs, way: Way, steps: int) -> Closest:
    """Moves points until each has used its steps or stopped getting closer."""
    overall = Closest(jobs, way.norm)
    rows, closest = torch.arange(len(jobs.labels)), overall.rows(slice(None))
    change, memory = torch.zeros_like(jobs.clean), way.begin(jobs)
    since, noted = torch.zeros(len(rows)), closest.length
    for step in range(steps + 1):
        found = slopes(target, jobs, change)
        closest.note(change, found.broken)
        shorter = closest.length < LITTLE * noted
        since = torch.where(shorter, 0.0, since + torch.isfinite(closest.length))
        noted = torch.where(shorter, closest.length, noted)
        going = (since <= PATIENCE * steps).nonzero().squeeze(1)
        if step == steps or not len(going):
            break
        if len(going) < len(rows):
            overall.take(rows, closest)
            rows, jobs, closest = rows[going], jobs.rows(going), closest.rows(going)
            change, memory, found = change[going], memory[going], found.rows(going)
            since, noted = since[going], noted[going]
        change, memory = way.step(jobs, Standing(change, memory, found, closest), step)
    overall.take(rows, closest)
    return overall


def _ranked(
    target: Target, points: torch.Tensor, labels: torch.Tensor, norm: Norm
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns wrong classes by first-order distance, the nearest first, and these distances.

    Both are (n, classes considered). A count of values is at least the largest change of one value
    over the range.
    """
    assert target.module is not None
    rows = torch.arange(len(labels))
    with torch.enable_grad():
        now = points.clone().requires_grad_()
        scores = target.module(now)
        others = scores.detach().clone()
        others[rows, labels] = -math.inf
        likely = others.topk(min(CONSIDERED, target.classes - 1), dim=1).indices
        reach = []
        for aims in likely.T:
            lead = scores[rows, labels] - scores[rows, aims]
            (slope,) = torch.autograd.grad(lead.sum(), now, retain_graph=True)
            reach.append(lead.detach() / dual_lengths(slope, norm).clamp_min(1e-30))
    far = torch.stack(reach, dim=1)
    order = far.argsort(dim=1, stable=True)
    scale = target.bounds[1] - target.bounds[0] if norm == "l0" else 1.0
    return likely.gather(1, order), far.gather(1, order) / scale


def _tighten(target: Target, jobs: Jobs, closest: Closest) -> None:
    """Walks each witness back towards its clean input until the class would return."""
    assert target.module is not None
    safe, broken = torch.zeros(len(jobs.labels)), torch.ones(len(jobs.labels))
    known, change = torch.isfinite(closest.length), closest.change
    with torch.no_grad():
        for _ in range(HALVINGS):
            middle = (safe + broken) / 2
            shorter = change * wide(middle, change)
            falls = lost(target.module(jobs.clean + shorter), jobs.labels)
            broken, safe = torch.where(falls, middle, broken), torch.where(falls, safe, middle)
            closest.note(shorter, falls & known)
