"""Auto-PGD inside an L-infinity ball: sign ascent with momentum and its own step control.

Source: Croce & Hein 2020, arXiv 2003.01690, algorithm 1. What differs is only the bookkeeping:
every point keeps its own iteration, so broken points leave the batch at once (a gate needs one
witness, not the highest loss) and waiting ones take their place. Trajectories stay the same.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from tasks.attacks.evasion.keyed import generator_for
from tasks.attacks.evasion.losses import LOSSES, Loss
from tasks.domain.errors import TargetError
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target, product

MOST_SLOTS = 256
SLOT_VALUES = 1 << 20
MOMENTUM = 0.75  # alpha in equation 1
ENOUGH_RISES = 0.75  # rho in condition 1


class Job(NamedTuple):
    """One ascent: which point, towards which class, in which restart."""

    point: int
    aim: int
    restart: int


def linf_apgd(
    target: Target,
    *,
    inputs: Images,
    labels: Labels,
    epsilon: float,
    steps: int = 100,
    loss: str = "ce",
    targets: int = 9,
    restarts: int = 1,
    seed: int = 0,
) -> Reply:
    """Searches each ball for a point that the target labels otherwise.

    Args:
        target: Victim that reveals gradients.
        inputs: (n, …) float32, raw values within ``target.bounds``, correctly classified.
        labels: (n,) true classes.
        epsilon: Radius of the ball, in raw units.
        steps: Ascent steps per job; each costs one forward and one backward.
        loss: ``ce`` (one job per point), ``dlr_targeted`` or ``margin_targeted`` (one job per
            point and wrong class, the closest classes first).
        targets: Most wrong classes to aim at.
        restarts: Random starts per job.
        seed: Equal seeds give equal outputs, whatever else is in the batch.

    Returns:
        Arrays ``candidates`` (like ``inputs``: the witness, or the point of highest loss),
        ``found`` (n,) and ``flat`` (n,: the gradient at the start was zero); values ``passes``
        and ``queries``. The caller verifies budget and success itself.

    Raises:
        TargetError: The target reveals no gradients.
    """
    if target.module is None:
        raise TargetError("this attack needs gradients, the target reveals only scores")
    before = target.meter.forwards, target.meter.backwards
    ascent = _Ascent(target, inputs, labels, epsilon=epsilon, steps=steps, loss=LOSSES[loss])
    aims = _aims(target, inputs, labels, targets) if loss != "ce" else labels[:, None]
    jobs = (
        Job(point, int(aims[point, rank]), restart)
        for restart in range(restarts)
        for rank in range(aims.shape[1])
        for point in range(len(labels))
    )
    ascent.run(jobs, seed=seed, purpose=loss)
    forwards = target.meter.forwards - before[0]
    backwards = target.meter.backwards - before[1]
    return Reply(
        {"candidates": ascent.candidates, "found": ascent.found, "flat": ascent.flat},
        {"passes": forwards + backwards, "queries": forwards},
    )


def _aims(target: Target, inputs: Images, labels: Labels, most: int) -> Labels:
    """Returns the wrong classes of each point, the highest scored first (n, up to ``most``)."""
    scores = target.scores(inputs).astype(np.float64)
    scores[np.arange(len(labels)), labels] = -np.inf
    ranked = np.argsort(-scores, axis=1, kind="stable")
    return ranked[:, : min(most, target.classes - 1)]


class _Slots(NamedTuple):
    """The jobs under way; every field has one row per job."""

    job: torch.Tensor  # (m, 3): point, aim, restart
    clean: torch.Tensor
    now: torch.Tensor
    before: torch.Tensor
    best: torch.Tensor
    best_gradient: torch.Tensor
    best_loss: torch.Tensor
    last_loss: torch.Tensor
    checked_loss: torch.Tensor
    rises: torch.Tensor
    stride: torch.Tensor
    halved: torch.Tensor
    iteration: torch.Tensor

    def kept(self, mask: torch.Tensor) -> "_Slots":
        return _Slots(*(field[mask] for field in self))

    def joined(self, other: "_Slots") -> "_Slots":
        return _Slots(*(torch.cat(pair) for pair in zip(self, other, strict=True)))


class _Ascent:
    """Runs jobs side by side until each is broken or has used its steps."""

    def __init__(
        self,
        target: Target,
        inputs: Images,
        labels: Labels,
        *,
        epsilon: float,
        steps: int,
        loss: Loss,
    ) -> None:
        assert target.module is not None
        self.module = target.module
        self.low, self.high = target.bounds
        self.epsilon, self.steps, self.loss = epsilon, steps, loss
        self.inputs = np.ascontiguousarray(inputs, dtype=np.float32)
        self.labels = torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64))
        self.windows = torch.from_numpy(checkpoint_windows(steps))
        self.capacity = max(1, min(MOST_SLOTS, SLOT_VALUES // product(target.input_shape)))
        self.candidates = self.inputs.copy()
        self.found = np.zeros(len(labels), dtype=bool)
        self.flat = np.zeros(len(labels), dtype=bool)
        self.highest = np.full(len(labels), -np.inf)

    def run(self, jobs: Iterator[Job], *, seed: int, purpose: str) -> None:
        slots = self._started([], seed, purpose)
        waiting = True
        while waiting or len(slots.job):
            if waiting and len(slots.job) <= self.capacity * 3 // 4:
                fresh = self._next(jobs, self.capacity - len(slots.job))
                waiting = bool(fresh)
                slots = slots.joined(self._started(fresh, seed, purpose))
            if len(slots.job):
                slots = self._advanced(slots)

    def _next(self, jobs: Iterator[Job], most: int) -> list[Job]:
        fresh: list[Job] = []
        for job in jobs:
            if not self.found[job.point]:
                fresh.append(job)
            if len(fresh) == most:
                break
        return fresh

    def _started(self, jobs: list[Job], seed: int, purpose: str) -> _Slots:
        """Begins at a random point whose largest change is the whole budget, as the reference."""
        count = len(jobs)
        clean = self.inputs[[job.point for job in jobs]]
        start = clean.copy()
        for row, job in enumerate(jobs):
            key = f"{purpose}/{job.aim}/{job.restart}"
            rng = generator_for(clean[row], seed=seed, purpose=key)
            noise = rng.uniform(-1, 1, clean[row].shape)
            start[row] += self.epsilon * noise / np.abs(noise).max()
        now = torch.from_numpy(start).clamp(self.low, self.high)
        zeros = torch.zeros(count)
        return _Slots(
            job=torch.tensor(jobs, dtype=torch.int64).reshape(count, 3),
            clean=torch.from_numpy(clean),
            now=now,
            before=now,
            best=now,
            best_gradient=torch.zeros_like(now),
            best_loss=zeros,
            last_loss=zeros,
            checked_loss=zeros,
            rises=torch.zeros(count, dtype=torch.int64),
            stride=torch.full((count,), 2 * self.epsilon),
            halved=torch.ones(count, dtype=torch.bool),
            iteration=torch.zeros(count, dtype=torch.int64),
        )

    def _advanced(self, slots: _Slots) -> _Slots:
        """Evaluates where the jobs stand, keeps what was learnt, and moves those that go on."""
        labels = self.labels[slots.job[:, 0]]
        losses, gradients, broken = self._evaluated(slots, labels)
        slots = self._learnt(slots, losses, gradients)
        self._note(slots, gradients, broken)
        gone = torch.from_numpy(self.found)[slots.job[:, 0]] | (slots.iteration >= self.steps)
        slots, gradients = slots.kept(~gone), gradients[~gone]
        slots, gradients = self._checked(slots, gradients)
        return self._moved(slots, gradients)

    def _evaluated(
        self, slots: _Slots, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        with torch.enable_grad():
            now = slots.now.detach().requires_grad_()
            scores = self.module(now)
            losses = self.loss(scores, labels, slots.job[:, 1])
            (gradients,) = torch.autograd.grad(losses.sum(), now)
        scores = scores.detach()
        own = scores.gather(1, labels[:, None]).squeeze(1)
        broken = scores.amax(dim=1) > own
        return losses.detach(), gradients, broken

    def _learnt(self, slots: _Slots, losses: torch.Tensor, gradients: torch.Tensor) -> _Slots:
        first = slots.iteration == 0
        better = first | (losses > slots.best_loss)
        best_loss = torch.where(better, losses, slots.best_loss)
        wide = _wide(better, slots.now)
        return slots._replace(
            best=torch.where(wide, slots.now, slots.best),
            best_gradient=torch.where(wide, gradients, slots.best_gradient),
            best_loss=best_loss,
            checked_loss=torch.where(first, losses, slots.checked_loss),
            rises=slots.rises + (~first & (losses > slots.last_loss)),
            last_loss=losses,
        )

    def _note(self, slots: _Slots, gradients: torch.Tensor, broken: torch.Tensor) -> None:
        points = slots.job[:, 0].numpy()
        starts = (slots.iteration == 0).numpy()
        self.flat[points[starts]] |= (gradients.flatten(1).abs().amax(1) == 0).numpy()[starts]
        now, best = slots.now.numpy(), slots.best.numpy()
        for row in np.flatnonzero(broken.numpy()):
            if not self.found[points[row]]:
                self.found[points[row]] = True
                self.candidates[points[row]] = now[row]
        for row in np.flatnonzero((slots.iteration >= self.steps).numpy()):
            height = float(slots.best_loss[row])
            if not self.found[points[row]] and height > self.highest[points[row]]:
                self.highest[points[row]] = height
                self.candidates[points[row]] = best[row]

    def _checked(self, slots: _Slots, gradients: torch.Tensor) -> tuple[_Slots, torch.Tensor]:
        """At a checkpoint, halves the stride of jobs that stall and sends them back to the best."""
        window = self.windows[slots.iteration]
        due = window > 0
        stalled = slots.rises <= window * ENOUGH_RISES  # condition 1
        stuck = ~slots.halved & (slots.checked_loss >= slots.best_loss)  # condition 2
        halve = due & (stalled | stuck)
        wide = _wide(halve, slots.now)
        gradients = torch.where(wide, slots.best_gradient, gradients)
        return slots._replace(
            now=torch.where(wide, slots.best, slots.now),
            stride=torch.where(halve, slots.stride / 2, slots.stride),
            halved=torch.where(due, halve, slots.halved),
            checked_loss=torch.where(due, slots.best_loss, slots.checked_loss),
            rises=torch.where(due, 0, slots.rises),
        ), gradients

    def _moved(self, slots: _Slots, gradients: torch.Tensor) -> _Slots:
        """Equation 1: a sign step, then momentum, each brought back into ball and range."""
        low = (slots.clean - self.epsilon).clamp_min(self.low)
        high = (slots.clean + self.epsilon).clamp_max(self.high)
        momentum = _wide(torch.where(slots.iteration == 0, 1.0, MOMENTUM), slots.now)
        stepped = slots.now + _wide(slots.stride, slots.now) * gradients.sign()
        stepped = torch.minimum(torch.maximum(stepped, low), high)
        carried = (slots.now - slots.before) * (1 - momentum)
        moved = slots.now + (stepped - slots.now) * momentum + carried
        return slots._replace(
            now=torch.minimum(torch.maximum(moved, low), high),
            before=slots.now,
            iteration=slots.iteration + 1,
        )


def checkpoint_windows(steps: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Returns, for each iteration 0..steps, the length of the window that ends there, else 0.

    The reference: the first window is 22 % of the steps, each next one 3 % shorter, 6 % at least.
    """
    windows = np.zeros(steps + 1, dtype=np.int64)
    window, shortest = max(int(0.22 * steps), 1), max(int(0.06 * steps), 1)
    shrink = max(int(0.03 * steps), 1)
    at = window
    while at <= steps:
        windows[at] = window
        window = max(window - shrink, shortest)
        at += window
    return windows


def _wide(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return values.reshape(-1, *(1,) * (like.dim() - 1))
