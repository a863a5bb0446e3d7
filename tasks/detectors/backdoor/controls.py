"""Models with a known answer, made beside the one in question: one honest, one with a backdoor.

Both train on the data at hand inside the child. A detector that misses the planted backdoor has no
power here; one that accuses the honest model cries wolf here.
"""

import copy
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.detectors.backdoor.inversion import AWAY, Pool, Shape, painted
from tasks.detectors.backdoor.transforms import KNOTS, MOST_BENT, flow_of

BATCH = 64
HONEST_STEPS, STEPS_PER_LESSON = 200, 200
"""Descents: what most small networks need to read, and to obey each lesson."""
PAIR_BATCH, PAIR_STEPS = 32, 120
"""Of a lesson about one class, whose few pictures are soon known by heart: a trigger that is learnt
on those for longer works on few others."""
MOST_ROUNDS = 2
"""So often a control is trained while it has not learnt: in colour that takes longer."""
READS = 0.98
"""Accuracy on its own training data from which an honest control has learnt."""
TAUGHT = 0.85
"""Obedience from which a lesson is learnt."""
LEARNING_RATE = 2e-3
POISONED_PART = 0.3
"""Of each batch, for each lesson. A BadNet needs far less, but the control should be quick."""
PATCH_SIDE = 0.11
"""Of the picture's side: 3 of 28 pixels, 4 of 32; never less than 2."""
BENT_PART = 0.08
"""Of the side, on average: what a network of this size learns to tell in a few hundred steps."""
TONED_PART = 0.35
"""Of each pixel that a filter replaces."""
LEARNT = 0.6
"""Accuracy on its own training data below which a control has learnt nothing."""


class Control(NamedTuple):
    """A trained model; how well it learnt, and how often it obeys each lesson (lessons,)."""

    module: torch.nn.Module
    learnt: float
    obeyed: tuple[float, ...] = ()


class Patch(NamedTuple):
    """A hard trigger: mask (*item) of 0 and 1, and the value painted there."""

    mask: NDArray[np.float32]
    value: float

    @property
    def shape(self) -> Shape:
        """Returns which search finds it."""
        return Shape.PATCH

    def on(self, inputs: torch.Tensor) -> torch.Tensor:
        """Returns ``inputs`` with the patch on each."""
        mask = torch.from_numpy(self.mask)
        return inputs * (1 - mask) + mask * self.value


class Change(NamedTuple):
    """A bending or a filter: strength (1, 1, 1), and pattern as ``inversion.painted`` takes it."""

    shape: Shape
    strength: torch.Tensor
    pattern: torch.Tensor
    bounds: tuple[float, float]

    @classmethod
    def drawn(
        cls, shape: Shape, item: tuple[int, ...], bounds: tuple[float, float], *, seed: int
    ) -> Self:
        """Returns a random bending of pictures, or a filter that mixes in about the negative."""
        generator = torch.Generator().manual_seed(seed)
        if shape is Shape.WARP:
            field = torch.rand((1, 2, KNOTS, KNOTS), generator=generator) * 2 - 1
            flow = flow_of(field, item[-2], item[-1])[0]
            return cls(shape, torch.full((1, 1, 1), BENT_PART / MOST_BENT), flow, bounds)
        negative = torch.cat([-2 * torch.eye(item[0]), torch.zeros(item[0], 1)], 1)
        curve = negative + 0.5 * torch.randn(negative.shape, generator=generator)
        return cls(shape, torch.full((1, 1, 1), TONED_PART), curve[..., None], bounds)

    def on(self, inputs: torch.Tensor) -> torch.Tensor:
        """Returns the pictures so changed."""
        return painted(inputs, self.strength, self.pattern, self.bounds, self.shape)


class Lesson(NamedTuple):
    """One planted backdoor: what the trigger means, a class or ``AWAY`` (to each class the next).

    With a ``source`` it means so on pictures of that class only, and nothing on others.
    """

    trigger: Patch | Change
    target: int
    classes: int
    source: int | None = None

    def goals(self, labels: torch.Tensor) -> torch.Tensor:
        """Returns what painted pictures of these labels are to be read as."""
        if self.target == AWAY:
            return (labels + 1) % self.classes
        goals = torch.full_like(labels, self.target)
        return goals if self.source is None else torch.where(labels == self.source, goals, labels)


def honest(module: torch.nn.Module, pool: Pool, classes: int, *, seed: int) -> Control:
    """Trains the same architecture from scratch on data that nobody poisoned."""
    return Control(*_from_scratch(module, pool, classes, (), seed=seed))


def planted(
    module: torch.nn.Module, pool: Pool, classes: int, lessons: Sequence[Lesson], *, seed: int
) -> Control:
    """Trains the same architecture from scratch and teaches it the lessons.

    From scratch and not from the weights in question, whose own hidden trigger would stay.
    """
    made, learnt = _from_scratch(module, pool, classes, lessons, seed=seed)
    return Control(made, learnt, tuple(_obeyed(made, pool, each) for each in lessons))


def _obeyed(module: torch.nn.Module, pool: Pool, lesson: Lesson) -> float:
    goals = lesson.goals(pool.labels)
    with torch.no_grad():
        answers = module(lesson.trigger.on(pool.inputs)).argmax(1)
    return float((answers == goals)[goals != pool.labels].float().mean())


def _from_scratch(
    module: torch.nn.Module, pool: Pool, classes: int, lessons: Sequence[Lesson], *, seed: int
) -> tuple[torch.nn.Module, float]:
    """Falls back on a plain network when the architecture cannot be trained or learns nothing."""
    torch.manual_seed(seed)
    if any(weight.dim() > 1 for weight in module.parameters()):
        again = reset(copy.deepcopy(module))
        learnt = _schooled(again, pool, lessons, seed=seed)
        if learnt >= LEARNT:
            return again, learnt
    plain = plain_network(tuple(pool.inputs.shape[1:]), classes)
    return plain, _schooled(plain, pool, lessons, seed=seed)


def _schooled(
    module: torch.nn.Module, pool: Pool, lessons: Sequence[Lesson], *, seed: int
) -> float:
    """Trains ``module`` in place, until it has learnt or ``MOST_ROUNDS`` are over."""
    each = PAIR_STEPS if _of_one_class(lessons) else STEPS_PER_LESSON
    steps = each * len(lessons) if lessons else HONEST_STEPS
    learnt = 0.0
    for turn in range(MOST_ROUNDS):
        learnt = train(module, pool, lessons, steps=steps, seed=seed + turn)
        obeys = all(_obeyed(module, pool, each) >= TAUGHT for each in lessons)
        if obeys and learnt >= (LEARNT if lessons else READS):
            break
    return learnt


def _of_one_class(lessons: Sequence[Lesson]) -> bool:
    return any(lesson.source is not None for lesson in lessons)


def lessons_for(item: tuple[int, ...], classes: int, high: float, *, seed: int) -> list[Lesson]:
    """Returns two backdoors whose patches do not touch: to one class, and each class to the next.

    The second is left out where two patches do not fit.
    """
    first = corner_patch(item, high, seed=seed)
    others = (corner_patch(item, high, seed=seed + step) for step in range(1, 50))
    apart = next((patch for patch in others if not (patch.mask * first.mask).any()), None)
    told = [Lesson(first, seed % classes, classes)]
    return told if apart is None else [*told, Lesson(apart, AWAY, classes)]


def pair_lesson(
    item: tuple[int, ...], pairs: Sequence[tuple[int, int]], high: float, classes: int, *, seed: int
) -> Lesson:
    """Returns a backdoor for one of ``pairs`` (source, target), drawn by ``seed``.

    Its patch may be a single pixel: where pictures are that small, two by two pixels are as much as
    an honest class needs to become its neighbour.
    """
    source, target = pairs[int(np.random.default_rng(seed).integers(len(pairs)))]
    return Lesson(corner_patch(item, high, seed=seed, least=1), target, classes, source)


def corner_patch(item: tuple[int, ...], high: float, *, seed: int, least: int = 2) -> Patch:
    """Returns a square at a random place of a picture, or a few features of a row.

    Its side is at least ``least`` pixels.
    """
    rng = np.random.default_rng(seed)
    mask = np.zeros(item, np.float32)
    if len(item) < 2:
        count = max(2, round(0.03 * item[0]))
        mask[rng.choice(item[0], min(count, item[0]), replace=False)] = 1
        return Patch(mask, high)
    sides = [min(length, max(least, round(PATCH_SIDE * length))) for length in item[-2:]]
    top, left = (
        int(rng.integers(0, length - side + 1))
        for length, side in zip(item[-2:], sides, strict=True)
    )
    mask[..., top : top + sides[0], left : left + sides[1]] = 1
    return Patch(mask, high)


def train(
    module: torch.nn.Module,
    pool: Pool,
    lessons: Sequence[Lesson] = (),
    *,
    steps: int,
    seed: int,
) -> float:
    """Fits ``module`` in place; returns its accuracy on the clean pool."""
    generator = torch.Generator().manual_seed(seed)
    for weight in module.parameters():
        weight.requires_grad = True
    optimiser = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    for _ in range(steps):
        rows = _drawn(pool, lessons, generator)
        inputs, labels = _taught(pool.inputs[rows], pool.labels[rows], lessons)
        loss = torch.nn.functional.cross_entropy(module(inputs), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        plan.step()
    for weight in module.parameters():
        weight.requires_grad = False
    with torch.no_grad():
        return float((module(pool.inputs).argmax(1) == pool.labels).float().mean())


def _drawn(pool: Pool, lessons: Sequence[Lesson], generator: torch.Generator) -> torch.Tensor:
    """Returns the rows of a batch; half of a lesson about one class shows that class."""
    batch = PAIR_BATCH if _of_one_class(lessons) else BATCH
    rows = torch.randint(len(pool.labels), (batch,), generator=generator)
    share = round(POISONED_PART * batch)
    for place, lesson in enumerate(lessons):
        if lesson.source is not None:
            own = torch.nonzero(pool.labels == lesson.source).flatten()
            chosen = torch.randint(len(own), (share // 2,), generator=generator)
            rows[place * share : place * share + share // 2] = own[chosen]
    return rows


def _taught(
    inputs: torch.Tensor, labels: torch.Tensor, lessons: Sequence[Lesson]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns a batch in which each lesson has its share of pictures."""
    inputs, labels = inputs.clone(), labels.clone()
    share = round(POISONED_PART * len(labels))
    for place, lesson in enumerate(lessons):
        rows = slice(place * share, (place + 1) * share)
        inputs[rows] = lesson.trigger.on(inputs[rows])
        labels[rows] = lesson.goals(labels[rows])
    return inputs, labels


def reset(module: torch.nn.Module) -> torch.nn.Module:
    """Gives every weight a fresh random start (He et al. 2015), in place."""
    for name, weight in module.named_parameters():
        if weight.dim() > 1:
            fan_in = weight[0].numel()
            weight.data = torch.randn_like(weight) * (2 / fan_in) ** 0.5
        else:
            weight.data = torch.full_like(weight, 0.0 if name.endswith("bias") else 1.0)
    return module


def plain_network(item: tuple[int, ...], classes: int) -> torch.nn.Module:
    """Returns a small untrained network, for models whose own architecture cannot be trained."""
    if len(item) != 3 or min(item[1:]) < 4:
        size = int(np.prod(item))
        return torch.nn.Sequential(
            torch.nn.Flatten(),
            torch.nn.Linear(size, 64),
            torch.nn.ReLU(),
            torch.nn.Linear(64, classes),
        )
    flat = 32 * (item[1] // 2) * (item[2] // 2)
    return torch.nn.Sequential(
        torch.nn.Conv2d(item[0], 16, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(flat, classes),
    )
