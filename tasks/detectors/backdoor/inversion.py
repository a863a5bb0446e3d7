"""Finds the smallest trigger that sends everything to a class, for many classes at once.

Source: Wang et al. 2019 (Neural Cleanse), equation 3: a mask and a pattern, descended together,
with the weight of the size raised while the trigger works and lowered while it does not. All
classes share one batch, so ten classes cost one loop of larger matrix products.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import torch

WORKS = 0.95
"""Part of the pictures that a trigger must move before its size counts."""
AWAY_WORKS = 0.75
"""The same for a trigger away from all classes: weakly learnt backdoors never reach more."""
NEVER = 1.0
"""The size of a trigger that was not found: the whole picture."""
AWAY = -1
"""Stands for "any class but its own" among class numbers."""
INERTIA = 0.7


class Pace(NamedTuple):
    """How fast to descend.

    ``harder`` is the factor per step on the weight of the size: at 1.15 about 60 steps move it
    across its range. ``works`` is the part of the pictures from which a trigger's size counts.
    """

    learning_rate: float = 0.15
    harder: float = 1.15
    works: float = WORKS


class Shape(StrEnum):
    """What kind of trigger is looked for; its size is the mean of its mask in both cases."""

    PATCH = "patch"  # any mask: small means few pixels
    BLEND = "blend"  # one opacity for the whole picture: small means faint


class Job(NamedTuple):
    """One trigger to find: it sends pictures of class ``source``, or of all others, to ``target``.

    A target of ``None`` asks for a trigger that sends every picture away from its own class,
    wherever to: what an all-to-all backdoor does (Gu et al. 2017, section 4.1.2).
    """

    target: int | None
    source: int | None = None


class Pool(NamedTuple):
    """Pictures to search with: inputs (n, …) raw float32, labels (n,) int64, on one device."""

    inputs: torch.Tensor
    labels: torch.Tensor

    def rows_for(self, job: Job) -> torch.Tensor:
        """Returns the rows whose class the trigger has to change."""
        if job.source is not None:
            return torch.nonzero(self.labels == job.source).flatten()
        if job.target is None:
            return torch.arange(len(self.labels))
        return torch.nonzero(self.labels != job.target).flatten()


class Triggers(NamedTuple):
    """One trigger per job: size and success while searching (jobs,), and the free variables."""

    sizes: torch.Tensor
    successes: torch.Tensor
    mask_logits: torch.Tensor
    pattern_logits: torch.Tensor

    def pick(self, rows: Sequence[int]) -> "Triggers":
        """Returns the triggers of these jobs."""
        index = torch.tensor(list(rows), dtype=torch.long)
        return Triggers(*(values[index] for values in self))


def start(
    jobs: Sequence[Job], item: Sequence[int], shape: Shape, *, generator: torch.Generator
) -> Triggers:
    """Returns random faint triggers to start from, for items of shape ``item``."""
    count = len(jobs)
    flat = [1, *item[1:]] if len(item) == 3 else list(item)
    if shape is Shape.BLEND:
        mask = torch.full([count] + [1] * len(flat), -1.0)
    else:
        mask = torch.randn([count, *flat], generator=generator) * 0.5 - 1.0
    pattern = torch.randn([count, *item], generator=generator)
    return Triggers(torch.full([count], NEVER), torch.zeros(count), mask, pattern)


def stamped(
    inputs: torch.Tensor,
    mask_logits: torch.Tensor,
    pattern_logits: torch.Tensor,
    bounds: tuple[float, float],
) -> torch.Tensor:
    """Returns ``inputs`` with the trigger painted over them; shapes broadcast."""
    low, high = bounds
    mask = torch.sigmoid(mask_logits)
    painted: torch.Tensor = (1 - mask) * inputs + mask * (
        low + (high - low) * torch.sigmoid(pattern_logits)
    )
    return painted


def invert(
    module: torch.nn.Module,
    pool: Pool,
    jobs: Sequence[Job],
    begin: Triggers,
    *,
    bounds: tuple[float, float],
    steps: int,
    batch: int,
    generator: torch.Generator,
    limits: torch.Tensor | None = None,
    pace: Pace = Pace(),  # noqa: B008 - frozen, so every call may share it
) -> Triggers:
    """Shrinks triggers that work, or with ``limits`` makes the best of a given size.

    Args:
        module: Raw inputs to scores, differentiable.
        pool: Pictures to search with; every job needs at least one.
        jobs: Which triggers to find.
        begin: Where to start, one trigger per job.
        bounds: Raw range of the inputs.
        steps: Descents. Cost: steps * jobs * batch forwards and as many backwards.
        batch: Pictures per job and step.
        generator: Draws the pictures; equal states give equal triggers.
        limits: None to look for the smallest working trigger; else (jobs,) largest sizes, and
            the most successful trigger within them is returned.
        pace: How fast to descend.
    """
    works = torch.tensor([AWAY_WORKS if job.target is None else pace.works for job in jobs])
    search = _Search(begin, works, limits, pace)
    rows = [pool.rows_for(job) for job in jobs]
    wanted = torch.tensor([AWAY if job.target is None else job.target for job in jobs])
    for _ in range(steps):
        drawn = [part[torch.randint(len(part), (batch,), generator=generator)] for part in rows]
        chosen = torch.stack(drawn)
        search.descend(module, pool.inputs[chosen], pool.labels[chosen], wanted, bounds)
    return search.best


class _Search:
    """The state of one descent: current triggers, weights of size, and the best seen."""

    def __init__(
        self, begin: Triggers, works: torch.Tensor, limits: torch.Tensor | None, pace: Pace
    ) -> None:
        self.mask = begin.mask_logits.clone().requires_grad_()
        self.pattern = begin.pattern_logits.clone().requires_grad_()
        self.works = works
        self.limits = limits
        self.harder = pace.harder
        self.weight = torch.ones(len(begin.sizes))
        self.running: torch.Tensor | None = None
        self.optimiser = torch.optim.Adam(
            [self.mask, self.pattern], lr=pace.learning_rate, betas=(0.5, 0.9)
        )
        fresh = torch.full_like(begin.sizes, NEVER)
        self.best = Triggers(
            fresh, torch.zeros_like(fresh), begin.mask_logits, begin.pattern_logits
        )

    def descend(
        self,
        module: torch.nn.Module,
        inputs: torch.Tensor,
        labels: torch.Tensor,
        wanted: torch.Tensor,
        bounds: tuple[float, float],
    ) -> None:
        """One step on inputs (jobs, batch, …) of classes ``labels`` towards ``wanted`` (jobs,)."""
        jobs, batch = inputs.shape[:2]
        painted = stamped(inputs, self.mask[:, None], self.pattern[:, None], bounds)
        scores = module(painted.flatten(0, 1))
        goals = wanted.repeat_interleave(batch)
        losses, reached = _judged(scores, labels.flatten(), goals)
        sizes = torch.sigmoid(self.mask).flatten(1).mean(1)
        total = (losses.view(jobs, batch).mean(1) + self.weight * sizes).sum()
        before = self.mask.detach().clone(), self.pattern.detach().clone()
        self.optimiser.zero_grad()
        total.backward()
        self.optimiser.step()
        hits = reached.view(jobs, batch).float().mean(1)
        self._learn(hits, sizes.detach(), *before)

    def _learn(
        self, hits: torch.Tensor, sizes: torch.Tensor, mask: torch.Tensor, pattern: torch.Tensor
    ) -> None:
        smooth = hits if self.running is None else INERTIA * self.running + (1 - INERTIA) * hits
        self.running = smooth
        if self.limits is None:
            press = hits >= self.works
            better = press & (smooth >= self.works) & (sizes < self.best.sizes)
        else:
            press = sizes > self.limits
            better = ~press & (smooth >= self.best.successes)
        self.weight = torch.where(press, self.weight * self.harder, self.weight / self.harder)
        self.weight = self.weight.clamp(1e-2, 1e4)
        self.best = Triggers(
            *(
                torch.where(better.view([-1] + [1] * (new.dim() - 1)), new, old)
                for new, old in zip((sizes, smooth, mask, pattern), self.best, strict=True)
            )
        )


def _judged(
    scores: torch.Tensor, labels: torch.Tensor, goals: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns what each row costs (rows,), and whether it arrived (rows,).

    Towards a class the cost is its negative log probability; away from one's own class, the
    negative log probability of all others together.
    """
    away = goals == AWAY
    one = torch.where(away, labels, goals)[:, None]
    logs = scores.log_softmax(1)
    others = logs.scatter(1, one, -torch.inf).logsumexp(1)
    cost = -torch.where(away, others, logs.gather(1, one)[:, 0])
    answers = scores.detach().argmax(1)
    return cost, torch.where(away, answers != labels, answers == goals)
