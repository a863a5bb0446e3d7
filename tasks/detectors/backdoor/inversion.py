"""Finds the smallest trigger that sends everything to a class, for many classes at once.

Source: Wang et al. 2019 (Neural Cleanse), equation 3: a mask and a pattern, descended together,
with the weight of the size raised while the trigger works and lowered while it does not. All
classes share one batch, so ten classes cost one loop of larger matrix products.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import torch

from tasks.detectors.backdoor.descent import Descent
from tasks.detectors.backdoor.transforms import KNOTS, bent, flow_of, toned

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
    """What kind of trigger is looked for; its size is the mean of its mask, or its strength."""

    PATCH = "patch"  # any mask: small means few pixels
    BLEND = "blend"  # one opacity for the whole picture: small means faint
    WARP = "warp"  # the picture bent: small means by little
    TONE = "tone"  # a filter of its colours: small means faint


class Job(NamedTuple):
    """One trigger to find: it sends pictures of class ``source``, or of all others, to ``target``.

    A target of ``None`` asks for a trigger that moves every picture: what an all-to-all backdoor
    does (Gu et al. 2017, section 4.1.2). Each class goes where ``mapping`` (classes,) says, or
    without one anywhere away from itself.
    """

    target: int | None
    source: int | None = None
    mapping: tuple[int, ...] | None = None

    def goals(self, classes: int) -> list[int]:
        """Returns what pictures of each of the first ``classes`` are to be read as.

        ``AWAY`` is anything else.
        """
        if self.mapping is not None:
            return list(self.mapping[:classes])
        return [AWAY if self.target is None else self.target] * classes


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

    def put(self, rows: Sequence[int], others: "Triggers") -> "Triggers":
        """Returns these triggers with ``others`` in the place of ``rows``."""
        index = torch.tensor(list(rows), dtype=torch.long)
        return Triggers(
            *(mine.index_copy(0, index, new) for mine, new in zip(self, others, strict=True))
        )


def start(
    jobs: Sequence[Job], item: Sequence[int], shape: Shape, *, generator: torch.Generator
) -> Triggers:
    """Returns random faint triggers to start from, for items of shape ``item``."""
    count = len(jobs)
    flat = [1, *item[1:]] if len(item) == 3 else list(item)
    if shape is Shape.PATCH:
        mask = torch.randn([count, *flat], generator=generator) * 0.5 - 1.0
    else:
        mask = torch.full([count] + [1] * len(flat), -1.0)
    patterns = {Shape.WARP: [2, KNOTS, KNOTS], Shape.TONE: [item[0], item[0] + 1, 1]}
    pattern = torch.randn([count, *patterns.get(shape, item)], generator=generator)
    return Triggers(torch.full([count], NEVER), torch.zeros(count), mask, pattern)


def stamped(
    inputs: torch.Tensor,
    mask_logits: torch.Tensor,
    pattern_logits: torch.Tensor,
    bounds: tuple[float, float],
    shape: Shape = Shape.PATCH,
) -> torch.Tensor:
    """Returns ``inputs`` (…, *item) with the trigger on them; leading axes broadcast."""
    mask, pattern = opened(mask_logits, pattern_logits, inputs.shape[-2:], bounds, shape)
    return painted(inputs, mask, pattern, bounds, shape)


def opened(
    mask_logits: torch.Tensor,
    pattern_logits: torch.Tensor,
    sides: Sequence[int],
    bounds: tuple[float, float],
    shape: Shape,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns masks or strengths in 0..1, and patterns as ``painted`` takes them.

    Those are raw values, of a bending its flow over pictures of ``sides`` (height, width), of a
    filter its curve.
    """
    mask = torch.sigmoid(mask_logits)
    if shape is Shape.WARP:
        return mask, flow_of(pattern_logits, sides[0], sides[1])
    if shape is Shape.TONE:
        return mask, pattern_logits
    low, high = bounds
    return mask, low + (high - low) * torch.sigmoid(pattern_logits)


def painted(
    inputs: torch.Tensor,
    mask: torch.Tensor,
    pattern: torch.Tensor,
    bounds: tuple[float, float],
    shape: Shape,
) -> torch.Tensor:
    """Returns ``inputs`` with an opened trigger on them; shapes broadcast."""
    if shape is Shape.WARP:
        return bent(inputs, mask, pattern)
    if shape is Shape.TONE:
        return toned(inputs, mask, pattern, bounds)
    return (1 - mask) * inputs + mask * pattern


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
    search = Search(
        module, pool, jobs, begin, bounds=bounds, generator=generator, limits=limits, pace=pace
    )
    return search.run(steps, batch)


class Search:
    """One descent of many triggers that can pause, go on, and leave triggers behind.

    The arguments are those of :func:`invert`.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        pool: Pool,
        jobs: Sequence[Job],
        begin: Triggers,
        *,
        bounds: tuple[float, float],
        generator: torch.Generator,
        limits: torch.Tensor | None = None,
        pace: Pace = Pace(),  # noqa: B008 - frozen, so every call may share it
        shape: Shape = Shape.PATCH,
    ) -> None:
        self.module, self.pool, self.bounds, self.pace = module, pool, bounds, pace
        self.shape = shape
        self.generator = generator
        self.rows = [pool.rows_for(job) for job in jobs]
        count, classes = len(jobs), int(pool.labels.max()) + 1
        fresh = torch.full((count,), NEVER)
        self.best = Triggers(
            fresh, torch.zeros(count), begin.mask_logits.clone(), begin.pattern_logits.clone()
        )
        self.state = _State(
            wanted=torch.tensor([job.goals(classes) for job in jobs]),
            works=torch.tensor([AWAY_WORKS if job.target is None else pace.works for job in jobs]),
            limits=fresh if limits is None else limits,
            weight=torch.ones(count),
            running=torch.full((count,), torch.nan),
            mask=Descent.begin(begin.mask_logits),
            pattern=Descent.begin(begin.pattern_logits),
        )
        self.bounded = limits is not None

    def run(self, steps: int, batch: int) -> Triggers:
        """Goes on for ``steps`` descents of ``batch`` pictures each; returns the best so far."""
        for _ in range(steps):
            drawn = [
                part[torch.randint(len(part), (batch,), generator=self.generator)]
                for part in self.rows
            ]
            chosen = torch.stack(drawn)
            self._descend(self.pool.inputs[chosen], self.pool.labels[chosen])
        return self.best

    def guesses(self) -> torch.Tensor:
        """Returns how small triggers seem to get (jobs,), for a search that has not ended.

        The smallest that worked and what is tried now, as many times above one as below the other:
        of few descents some triggers only just had no occasion to be seen working.
        """
        tried = torch.sigmoid(self.state.mask.values).flatten(1).mean(1)
        return (self.best.sizes * tried).sqrt()

    def keep(self, places: Sequence[int]) -> None:
        """Leaves all triggers behind but those at ``places``, which go on as if alone."""
        self.rows = [self.rows[place] for place in places]
        self.best = self.best.pick(places)
        self.state = self.state.pick(torch.tensor(list(places), dtype=torch.long))

    def _descend(self, inputs: torch.Tensor, labels: torch.Tensor) -> None:
        """One step on inputs (jobs, batch, …) of classes ``labels`` (jobs, batch)."""
        jobs, batch = labels.shape
        state = self.state
        mask = state.mask.values.clone().requires_grad_()
        pattern = state.pattern.values.clone().requires_grad_()
        shown = stamped(inputs, mask[:, None], pattern[:, None], self.bounds, self.shape)
        scores = self.module(shown.flatten(0, 1))
        goals = state.wanted.gather(1, labels).flatten()
        losses, reached = _judged(scores, labels.flatten(), goals)
        sizes = torch.sigmoid(mask).flatten(1).mean(1)
        total = (losses.view(jobs, batch).mean(1) + state.weight * sizes).sum()
        gradients = torch.autograd.grad(total, (mask, pattern))
        hits = reached.view(jobs, batch).float().mean(1)
        self._learn(hits, sizes.detach())
        rate = self.pace.learning_rate
        self.state = self.state._replace(
            mask=state.mask.step(gradients[0], rate), pattern=state.pattern.step(gradients[1], rate)
        )

    def _learn(self, hits: torch.Tensor, sizes: torch.Tensor) -> None:
        """Keeps what is better than before, and moves the weights of the sizes."""
        state = self.state
        smooth = torch.where(
            state.running.isnan(), hits, INERTIA * state.running + (1 - INERTIA) * hits
        )
        if self.bounded:
            press = sizes > state.limits
            better = ~press & (smooth >= self.best.successes)
        else:
            press = hits >= state.works
            better = press & (smooth >= state.works) & (sizes < self.best.sizes)
        harder = self.pace.harder
        weight = torch.where(press, state.weight * harder, state.weight / harder)
        self.state = state._replace(running=smooth, weight=weight.clamp(1e-2, 1e4))
        seen = (sizes, smooth, state.mask.values, state.pattern.values)
        self.best = Triggers(
            *(
                torch.where(better.view([-1] + [1] * (new.dim() - 1)), new, old)
                for new, old in zip(seen, self.best, strict=True)
            )
        )


class _State(NamedTuple):
    """What a search knows of each trigger (jobs, …) beside the best it has seen.

    ``wanted`` (jobs, classes) are the goals of each class's pictures.
    """

    wanted: torch.Tensor
    works: torch.Tensor
    limits: torch.Tensor
    weight: torch.Tensor
    running: torch.Tensor
    mask: Descent
    pattern: Descent

    def pick(self, rows: torch.Tensor) -> "_State":
        """Returns the state of these triggers."""
        return _State(
            wanted=self.wanted[rows],
            works=self.works[rows],
            limits=self.limits[rows],
            weight=self.weight[rows],
            running=self.running[rows],
            mask=self.mask.pick(rows),
            pattern=self.pattern.pick(rows),
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
