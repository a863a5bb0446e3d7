"""Fast adaptive boundary attack, targeted: small changes, found by walking along the boundary.

It needs no step size. A witness is a change that fits the budget. Source: Croce & Hein 2020, arXiv
1907.02044, algorithm 1; targeted variant and constants of AutoAttack (arXiv 2003.01690). A step
costs one forward and one backward, because the answer that tells whether a place is adversarial
also carries the slope for the next step; the reference asks twice. Instead of the final search of
the reference, a step back from the boundary ends on the ball where that is nearer.
"""

from typing import NamedTuple

import numpy as np
import torch

from tasks.attacks.evasion.balls import BALLS, Ball, wide
from tasks.attacks.evasion.hyperplanes import towards
from tasks.attacks.evasion.keyed import generator_for
from tasks.attacks.evasion.losses import targeted_margin
from tasks.attacks.evasion.pool import Attempt, Patience, Pool, View, attempts, closest_aims
from tasks.attacks.evasion.victim import Victim
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target

MOST_PULL = 0.1  # alpha_max, how far a step is drawn back to the clean input
OVERSHOOT = 1.05  # eta
RETREAT = 0.9  # beta, towards the clean input once the boundary is crossed
INSIDE = 1 - 1e-6
"""Where the surface of the ball is nearer than that, this share of the radius is asked."""
NEAREST = 1e-8
FIRST_RUNG = 8
"""Looks after which an impatient walk first notes how far it is."""


def fab(
    target: Target,
    *,
    norm: str,
    inputs: Images,
    labels: Labels,
    epsilon: float,
    steps: int = 100,
    targets: int = 9,
    restarts: int = 1,
    seed: int = 0,
    aims: Labels | None = None,
    patient: bool = True,
    draws: int = 1,
) -> Reply:
    """Searches for a change within ``epsilon`` by making adversarial changes smaller.

    Args:
        target: Victim that reveals gradients.
        norm: ``linf`` or ``l2``.
        inputs: (n, …) float32, raw values within ``target.bounds``, correctly classified.
        labels: (n,) true classes.
        epsilon: Largest change that counts, in raw units.
        steps: Steps per attempt; each costs one forward and one backward, twice that after a
            crossing.
        targets: Most wrong classes to aim at, the closest first.
        restarts: The first starts at the input, others at random places.
        seed: Equal seeds give equal outputs, whatever else is in the batch.
        aims: (n, k) classes to aim at, instead of the ``targets`` closest.
        patient: Whether every attempt gets all its steps, hopeless or not.
        draws: Answers averaged per look, for models that answer at random.

    Returns:
        Arrays ``candidates`` (like ``inputs``: the witness, or the input itself) and ``found``
        (n,); its cost. The caller verifies budget and success itself.

    Raises:
        TargetError: The target reveals no gradients.
    """
    victim = Victim(target, draws=draws)
    pool = Pool(target, inputs, labels)
    if aims is None:
        aims = closest_aims(target, inputs, labels, targets)
    ball = BALLS[norm](epsilon, target.bounds)
    walk = BoundaryWalk(victim, pool, norm=norm, ball=ball, steps=steps, seed=seed)
    patience = None if patient else Patience(steps + 1, FIRST_RUNG)
    pool.run(walk, attempts(aims, restarts), patience)
    fits = wide(torch.from_numpy(pool.found), torch.from_numpy(pool.inputs)).numpy()
    within = np.where(fits, pool.candidates, pool.inputs)
    return Reply({"candidates": within, "found": pool.found}, pool.reply().values)


class Walk(NamedTuple):
    """The walks under way; every field has one row per walk."""

    points: torch.Tensor
    aims: torch.Tensor
    clean: torch.Tensor
    now: torch.Tensor
    gap: torch.Tensor
    gradient: torch.Tensor
    crossed: torch.Tensor
    best: torch.Tensor
    best_reach: torch.Tensor
    iteration: torch.Tensor


class BoundaryWalk:
    """Algorithm 1 for the pool."""

    def __init__(
        self, victim: Victim, pool: Pool, *, norm: str, ball: Ball, steps: int, seed: int
    ) -> None:
        self.victim, self.pool, self.norm, self.ball = victim, pool, norm, ball
        self.steps, self.seed = steps, seed
        self.labels = torch.from_numpy(pool.labels).to(victim.device)

    def begin(self, attempts: list[Attempt]) -> Walk:
        """The first restart begins at the input itself, others half-way out at random."""
        device = self.victim.device
        points = np.array([attempt.point for attempt in attempts])
        clean = self.pool.inputs[points]
        now = clean.copy()
        for row, attempt in enumerate(attempts):
            if attempt.restart:
                key = f"fab/{attempt.aim}/{attempt.restart}"
                rng = generator_for(clean[row], seed=self.seed, purpose=key)
                now[row] = (clean[row] + self.ball.start(clean[row], rng)) / 2
        start = torch.from_numpy(now).to(device)
        zeros = torch.zeros(len(points), device=device)
        return Walk(
            points=torch.from_numpy(points).to(device),
            aims=torch.tensor([attempt.aim for attempt in attempts], device=device),
            clean=torch.from_numpy(clean).to(device),
            now=start,
            gap=zeros,
            gradient=start,
            crossed=torch.zeros_like(zeros, dtype=torch.bool),
            best=start,
            best_reach=torch.full_like(zeros, torch.inf),
            iteration=torch.zeros_like(zeros, dtype=torch.int64),
        )

    def look(self, state: Walk) -> tuple[Walk, View]:
        """Evaluates where the walks stand; across the boundary, the nearest place is kept."""
        sight = self.victim.look(state.now, self.labels[state.points], state.aims, targeted_margin)
        reach = self.ball.reach(state.now, state.clean)
        crossed = sight.margins > 0
        nearer = crossed & (reach < state.best_reach)
        best_reach = torch.where(nearer, reach, state.best_reach)
        state = state._replace(
            gap=-sight.losses,
            gradient=sight.gradients,
            crossed=crossed,
            best=torch.where(wide(nearer, state.now), state.now, state.best),
            best_reach=best_reach,
        )
        epsilon = self.ball.epsilon
        outside = 1 - best_reach / epsilon
        margins = torch.where(crossed & (reach <= epsilon), sight.margins, outside.clamp_max(0))
        done = (state.iteration >= self.steps) & ~crossed
        return state, View(
            state.now, margins, done, state.best, outside.clamp_max(0), spent=state.iteration + 1
        )

    def move(self, state: Walk) -> Walk:
        """Steps to the linearised boundary; walks that crossed it step back and look again.

        Steps land up to 5 % beyond the boundary. A step back that would pass the surface of the
        ball stops there: the question is whether a change fits, not how short it can get.
        """
        onward = self._onward(state)
        reach = self.ball.reach(state.now, state.clean).clamp_min(NEAREST)
        share = (INSIDE * self.ball.epsilon / reach).clamp(RETREAT, 1.0)
        back = torch.lerp(state.clean, state.now, wide(share, state.now))
        return state._replace(
            now=torch.where(wide(state.crossed, state.now), back, onward),
            iteration=state.iteration + ~state.crossed,
        )

    def _onward(self, state: Walk) -> torch.Tensor:
        """Projects from here and from the input, and mixes the two (equations 7 to 9)."""
        bounds = (self.ball.low, self.ball.high)
        drift = (state.gradient * (state.now - state.clean)).flatten(1).sum(dim=1)
        changes = towards(
            torch.cat([state.now, state.clean]),
            torch.cat([state.gradient, state.gradient]),
            torch.cat([state.gap, state.gap + drift]),
            norm=self.norm,
            bounds=bounds,
        )
        here, there = changes.chunk(2)
        nothing = torch.zeros_like(here)
        near = self.ball.reach(here, nothing).clamp_min(NEAREST)
        far = self.ball.reach(there, nothing).clamp_min(NEAREST)
        pull = wide((near / (near + far)).clamp(0, MOST_PULL), here)
        moved = torch.lerp(
            torch.add(state.now, here, alpha=OVERSHOOT),
            torch.add(state.clean, there, alpha=OVERSHOOT),
            pull,
        )
        return moved.clamp(self.ball.low, self.ball.high)
