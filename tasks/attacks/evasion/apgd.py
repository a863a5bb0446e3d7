"""Auto-PGD: gradient ascent with momentum that controls its own step, in any ball.

Source: Croce & Hein 2020, arXiv 2003.01690, algorithm 1. What differs is only the bookkeeping: each
attempt keeps its own iteration (see ``pool``). Trajectories stay the reference's.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.attacks.evasion.balls import BALLS, Ball, wide
from tasks.attacks.evasion.keyed import generator_for
from tasks.attacks.evasion.losses import LOSSES, TARGETED, Loss
from tasks.attacks.evasion.pool import Attempt, Patience, Pool, View, attempts, closest_aims
from tasks.attacks.evasion.victim import Victim
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target

MOMENTUM = 0.75  # alpha in equation 1
ENOUGH_RISES = 0.75  # rho in condition 1
FIRST_STRIDE = 2.0  # times epsilon
FIRST_WINDOW, SHORTEST_WINDOW, SHRINK = 0.22, 0.06, 0.03  # shares of all steps


def apgd(
    target: Target,
    *,
    norm: str,
    inputs: Images,
    labels: Labels,
    epsilon: float,
    steps: int = 100,
    loss: str = "ce",
    targets: int = 9,
    restarts: int = 1,
    seed: int = 0,
    aims: Labels | None = None,
    starts: Images | None = None,
    patient: bool = True,
    rung: int = 8,
    whole: bool = False,
    draws: int = 1,
    fast: bool = False,
) -> Reply:
    """Searches each ball for a point that the target labels otherwise.

    Args:
        target: Victim that reveals gradients.
        norm: ``linf`` or ``l2``.
        inputs: (n, …) float32, raw values within ``target.bounds``, correctly classified.
        labels: (n,) true classes.
        epsilon: Radius of the ball, in raw units.
        steps: Ascent steps per attempt; each costs one forward and one backward.
        loss: A key of ``LOSSES``. The targeted ones make one attempt per point and wrong class,
            the closest classes first; the others one per point.
        targets: Most wrong classes to aim at.
        restarts: Random starts per attempt.
        seed: Equal seeds give equal outputs, whatever else is in the batch.
        aims: (n, k) classes to aim at, instead of the ``targets`` closest.
        starts: (n, …) where the first restart begins, instead of a random place: what broke
            another model, or what an earlier attack reached. Brought into the ball.
        patient: Whether every attempt gets all its steps, hopeless or not.
        rung: Steps after which an impatient ascent first notes how far it is, a power of two.
        whole: Inputs are whole numbers, and so are all changes.
        draws: Answers averaged per look, for models that answer at random.
        fast: Look in bfloat16; witnesses are confirmed in float32.

    Returns:
        The arrays of :meth:`Pool.reply`, and ``flat`` (n,: the gradient at a start was zero).
        The caller verifies budget and success itself.

    Raises:
        TargetError: The target reveals no gradients.
        KeyError: There is no such norm or loss.
    """
    victim = Victim(target, draws=draws, fast=fast)
    pool = Pool(target, inputs, labels)
    if loss not in TARGETED:
        aims = np.full((len(labels), 1), -1)
    elif aims is None:
        aims = closest_aims(target, inputs, labels, targets)
    ascent = Ascent(
        victim,
        pool,
        BALLS[norm](epsilon, target.bounds, whole=whole),
        loss=LOSSES[loss],
        steps=steps,
        seed=seed,
        purpose=loss,
        starts=starts,
    )
    patience = None if patient else Patience(steps + 1, rung)
    pool.run(ascent, attempts(aims, restarts), patience)
    return pool.reply(flat=ascent.flat)


class Climb(NamedTuple):
    """The attempts under way; every field has one row per attempt."""

    points: torch.Tensor
    aims: torch.Tensor
    clean: torch.Tensor
    now: torch.Tensor
    before: torch.Tensor
    gradient: torch.Tensor
    best: torch.Tensor
    best_gradient: torch.Tensor
    best_loss: torch.Tensor
    height: torch.Tensor
    last_loss: torch.Tensor
    checked_loss: torch.Tensor
    rises: torch.Tensor
    stride: torch.Tensor
    halved: torch.Tensor
    iteration: torch.Tensor


class Ascent:
    """Algorithm 1 for the pool. ``flat`` (n,) marks points whose gradient was zero at a start."""

    def __init__(
        self,
        victim: Victim,
        pool: Pool,
        ball: Ball,
        *,
        loss: Loss,
        steps: int,
        seed: int,
        purpose: str,
        starts: Images | None = None,
    ) -> None:
        self.victim, self.pool, self.ball = victim, pool, ball
        self.loss, self.steps = loss, steps
        self.seed, self.purpose, self.starts = seed, purpose, starts
        self.labels = torch.from_numpy(pool.labels).to(victim.device)
        self.windows = torch.from_numpy(checkpoint_windows(steps)).to(victim.device)
        self.flat = np.zeros(len(pool.labels), dtype=bool)

    def begin(self, attempts: list[Attempt]) -> Climb:
        """Begins where ``starts`` says, else at a random place of the ball."""
        device, count = self.victim.device, len(attempts)
        points = np.array([attempt.point for attempt in attempts])
        clean = torch.from_numpy(self.pool.inputs[points]).to(device)
        placed = np.stack([self._start(attempt) for attempt in attempts]).astype(np.float32)
        now = self.ball.inside(torch.from_numpy(placed).to(device), clean)
        zeros = torch.zeros(count, device=device)
        return Climb(
            points=torch.from_numpy(points).to(device),
            aims=torch.tensor([attempt.aim for attempt in attempts], device=device),
            clean=clean,
            now=now,
            before=now,
            gradient=now,
            best=now,
            best_gradient=now,
            best_loss=torch.full_like(zeros, -torch.inf),
            height=torch.full_like(zeros, -torch.inf),
            last_loss=torch.full_like(zeros, torch.inf),
            checked_loss=zeros,
            rises=torch.zeros_like(zeros, dtype=torch.int64),
            stride=torch.full_like(zeros, FIRST_STRIDE * self.ball.epsilon),
            halved=torch.ones_like(zeros, dtype=torch.bool),
            iteration=torch.zeros_like(zeros, dtype=torch.int64),
        )

    def look(self, state: Climb) -> tuple[Climb, View]:
        """Evaluates where the attempts stand and keeps the best so far."""
        losses, margins, gradients = self.victim.look(
            state.now, self.labels[state.points], state.aims, self.loss
        )
        first = state.iteration == 0
        self._note_flat(state, first, gradients)
        better = losses > state.best_loss
        spread = wide(better, state.now)
        state = state._replace(
            gradient=gradients,
            best=torch.where(spread, state.now, state.best),
            best_gradient=torch.where(spread, gradients, state.best_gradient),
            best_loss=torch.where(better, losses, state.best_loss),
            height=torch.maximum(margins, state.height),
            checked_loss=torch.where(first, losses, state.checked_loss),
            rises=state.rises + (losses > state.last_loss),
            last_loss=losses,
        )
        done = state.iteration >= self.steps
        return state, View(
            state.now, margins, done, state.best, state.height, spent=state.iteration + 1
        )

    def move(self, state: Climb) -> Climb:
        """Equation 1: a steepest step, then momentum, each brought back into ball and range."""
        state = self._checked(state)
        momentum = wide(torch.where(state.iteration == 0, 1.0, MOMENTUM), state.now)
        stepped = self.ball.stepped(state.now, state.gradient, state.stride)
        stepped = self.ball.inside(stepped, state.clean)
        carried = torch.lerp(state.now - state.before, stepped - state.now, momentum)
        return state._replace(
            now=self.ball.inside(carried.add_(state.now), state.clean),
            before=state.now,
            iteration=state.iteration + 1,
        )

    def _start(self, attempt: Attempt) -> NDArray[np.float64]:
        if self.starts is not None and attempt.restart == 0:
            given: NDArray[np.float64] = self.starts[attempt.point].astype(np.float64)
            return given
        clean = self.pool.inputs[attempt.point]
        key = f"{self.purpose}/{attempt.aim}/{attempt.restart}"
        return self.ball.start(clean, generator_for(clean, seed=self.seed, purpose=key))

    def _note_flat(self, state: Climb, first: torch.Tensor, gradients: torch.Tensor) -> None:
        if first.any():
            level = first & (gradients.flatten(1).abs().amax(dim=1) == 0)
            self.flat[state.points[level].cpu().numpy()] = True

    def _checked(self, state: Climb) -> Climb:
        """At a checkpoint, halves the stride of attempts that stall and sends them to their best.

        Conditions 1 (too few rises) and 2 (neither stride nor best changed since the last check).
        """
        window = self.windows[state.iteration]
        due = window > 0
        if not due.any():
            return state
        stalled = state.rises <= window * ENOUGH_RISES
        stuck = ~state.halved & (state.checked_loss >= state.best_loss)
        halve = due & (stalled | stuck)
        spread = wide(halve, state.now)
        return state._replace(
            now=torch.where(spread, state.best, state.now),
            gradient=torch.where(spread, state.best_gradient, state.gradient),
            stride=torch.where(halve, state.stride / 2, state.stride),
            halved=torch.where(due, halve, state.halved),
            checked_loss=torch.where(due, state.best_loss, state.checked_loss),
            rises=torch.where(due, 0, state.rises),
        )


def checkpoint_windows(steps: int) -> NDArray[np.int64]:
    """Returns, for each iteration 0..steps, the length of the window that ends there, else 0.

    The reference: the first window is 22 % of the steps, each next one 3 % shorter, 6 % at least.
    """
    windows = np.zeros(steps + 1, dtype=np.int64)
    window = max(int(FIRST_WINDOW * steps), 1)
    shortest, shrink = max(int(SHORTEST_WINDOW * steps), 1), max(int(SHRINK * steps), 1)
    at = window
    while at <= steps:
        windows[at] = window
        window = max(window - shrink, shortest)
        at += window
    return windows
