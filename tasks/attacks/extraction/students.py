"""Copies: small networks that learn to answer as somebody else does, many at a time.

A student is chosen by the shape of the input alone, as a thief who knows only the interface would.
All students of a cohort have one shape, so their weights are stacked and every step of all of them
is a handful of batched products. Where one student alone keeps a processor busy (images), this
saves little; where it does not (rows, small images), it saves most of the time.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from tasks.targets.protocol import Images, Labels, Scores, product

EPOCHS, BATCH = 20, 64
FEWEST_STEPS, MOST_STEPS = 100, 4000
LEARNING_RATE = 8e-3
WIDTH = 64
CHANNELS = (16, 32)
SMALLEST_IMAGE, LARGE_IMAGE = 8, 16
TOGETHER_VALUES = 1 << 17
"""Input values of one step of a cohort: beyond it, more students at once only fill the caches."""
Beliefs = NDArray[np.float32]
"""(n, classes): how likely each class is, rows sum to one."""


class Lesson(NamedTuple):
    """What one student learns from: rows of shared inputs, and what somebody believes of them."""

    rows: NDArray[np.int64]
    beliefs: Beliefs
    steps: int = 0
    """0: as many as the rows deserve."""

    @property
    def length(self) -> int:
        """Steps of training: ``EPOCHS`` times through the rows, within bounds."""
        fair = math.ceil(EPOCHS * len(self.rows) / BATCH)
        return self.steps or min(MOST_STEPS, max(FEWEST_STEPS, fair))

    @property
    def passes(self) -> int:
        """Forwards and backwards that learning it takes."""
        return 2 * self.length * min(BATCH, len(self.rows))


def studied(
    inputs: Images,
    lessons: Sequence[Lesson],
    asked: Images,
    *,
    bounds: tuple[float, float],
    seed: int,
) -> Labels:
    """Trains a fresh student on each lesson and returns the classes they name for ``asked``.

    Equal seeds give equal students on one thread; all begin with the same weights and draw their
    rows by the same dice, so that two of them differ only by what they were taught.

    Args:
        inputs: (m, …) raw inputs within ``bounds``, which the lessons' rows index.
        lessons: What each student learns from.
        asked: (n, …) raw inputs.
        bounds: Range of raw inputs.
        seed: Of weights and rows.

    Returns:
        (lessons, n) classes.
    """
    answers = np.zeros((len(lessons), len(asked)), np.int64)
    shown, wanted = centred(inputs, bounds), centred(asked, bounds)
    for places in _cohorts(lessons, inputs.shape[1:]):
        cohort = Cohort(inputs.shape[1:], lessons[0].beliefs.shape[1], count=len(places), seed=seed)
        cohort.learn(shown, [lessons[place] for place in places], seed=seed)
        answers[places] = cohort.classes(wanted)
    return answers


def believed(scores: Scores) -> Beliefs:
    """Turns a target's scores into probabilities."""
    raised = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    beliefs: Beliefs = (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
    return beliefs


def certain(labels: Labels, classes: int) -> Beliefs:
    """Returns beliefs without doubt."""
    beliefs: Beliefs = np.eye(classes, dtype=np.float32)[labels]
    return beliefs


class Cohort:
    """Students of one shape whose weights are stacked along the first axis.

    Args:
        shape: Of one input.
        classes: Number of classes.
        count: How many students.
        seed: Of their weights.
        alike: Whether all begin with the same weights.
    """

    def __init__(
        self, shape: tuple[int, ...], classes: int, *, count: int, seed: int, alike: bool = True
    ) -> None:
        self.count, self.shape, self.alike = count, tuple(shape), alike
        self.is_image = len(shape) == 3 and min(shape[1:]) >= SMALLEST_IMAGE
        self._dice = torch.Generator().manual_seed(seed)
        self.weights: list[torch.Tensor] = []
        if self.is_image:
            # A second halving only where there is enough left to look at.
            self.stride = 2 if min(shape[1:]) >= LARGE_IMAGE else 1
            first, second = CHANNELS
            self._convolution(shape[0], first)
            self._convolution(first, second)
            sides = [math.ceil(math.ceil(side / self.stride) / 2) for side in shape[1:]]
            widths = [second * product(sides), WIDTH, classes]
        else:
            widths = [product(shape), WIDTH, WIDTH, classes]
        for inward, outward in itertools.pairwise(widths):
            self._linear(inward, outward)

    def learn(self, inputs: torch.Tensor, lessons: Sequence[Lesson], *, seed: int) -> None:
        """Trains every student on its own lesson; all lessons have one length."""
        steps = lessons[0].length
        batch = min(BATCH, *(len(lesson.rows) for lesson in lessons))
        decks = [_picks(len(lesson.rows), batch, seed) for lesson in lessons]
        rows = [torch.from_numpy(lesson.rows) for lesson in lessons]
        beliefs = [torch.from_numpy(lesson.beliefs) for lesson in lessons]
        optimizer = torch.optim.Adam(self.weights, LEARNING_RATE, fused=True)
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * (1 + math.cos(math.pi * step / steps)) / 2
            picks = [next(deck) for deck in decks]
            shown = torch.stack(
                [inputs[each[pick]] for each, pick in zip(rows, picks, strict=True)]
            )
            told = torch.stack([each[pick] for each, pick in zip(beliefs, picks, strict=True)])
            optimizer.zero_grad()
            spoken = functional.log_softmax(self.logits(shown), dim=2)
            # Summed over students, so that each learns as fast as it would alone.
            (-(told * spoken).sum(dim=2).mean(dim=1).sum()).backward()
            optimizer.step()

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """Answers (count, batch, …) centred inputs with (count, batch, classes)."""
        weights = iter(self.weights)
        count, batch = inputs.shape[:2]
        if self.is_image:
            hidden = inputs.transpose(0, 1).reshape(batch, -1, *self.shape[1:])
            for stride in (self.stride, 2):
                kernel, offset = next(weights), next(weights)
                hidden = functional.conv2d(
                    hidden,
                    kernel.flatten(0, 1),
                    offset.flatten(),
                    stride=stride,
                    padding=1,
                    groups=count,
                ).relu()
            flat = hidden.reshape(batch, count, -1).transpose(0, 1)
        else:
            flat = inputs.reshape(count, batch, -1)
        linear = list(weights)
        for place in range(0, len(linear), 2):
            flat = torch.baddbmm(linear[place + 1], flat, linear[place])
            if place + 2 < len(linear):
                flat = flat.relu()
        return flat

    def classes(self, inputs: torch.Tensor) -> Labels:
        """Returns the classes (count, n) that the students name for (n, …) centred inputs."""
        with torch.no_grad():
            parts = [
                self.logits(part.expand(self.count, *part.shape)).argmax(dim=2)
                for part in inputs.split(256)
            ]
        named: Labels = torch.cat(parts, dim=1).numpy().astype(np.int64)
        return named

    def _convolution(self, inward: int, outward: int) -> None:
        reach = 1 / math.sqrt(9 * inward)
        self._drawn((outward, inward, 3, 3), reach)
        self._drawn((outward,), reach)

    def _linear(self, inward: int, outward: int) -> None:
        reach = 1 / math.sqrt(inward)
        self._drawn((inward, outward), reach)
        self._drawn((1, outward), reach)

    def _drawn(self, shape: tuple[int, ...], reach: float) -> None:
        drawn = (1 if self.alike else self.count, *shape)
        weights = (2 * torch.rand(drawn, generator=self._dice) - 1) * reach
        self.weights.append(weights.expand(self.count, *shape).clone().requires_grad_())


def _picks(count: int, batch: int, seed: int) -> Iterator[torch.Tensor]:
    """Deals places in 0..count-1, each once before any comes again; equal decks deal alike."""
    dice = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(count, generator=dice)
        yield from (order[at : at + batch] for at in range(0, count - batch + 1, batch))


def _cohorts(lessons: Sequence[Lesson], shape: tuple[int, ...]) -> list[list[int]]:
    """Groups lessons of equal length and batch, as many as are worth training at once."""
    size = max(1, TOGETHER_VALUES // (BATCH * product(shape)))
    alike: dict[tuple[int, int], list[int]] = {}
    for place, lesson in enumerate(lessons):
        alike.setdefault((lesson.length, min(BATCH, len(lesson.rows))), []).append(place)
    return [
        places[start : start + size]
        for places in alike.values()
        for start in range(0, len(places), size)
    ]


def centred(inputs: Images, bounds: tuple[float, float]) -> torch.Tensor:
    """Returns raw inputs as a tensor within -1..1."""
    low, high = bounds
    middle, reach = np.float32((low + high) / 2), np.float32((high - low) / 2)
    return torch.from_numpy((np.ascontiguousarray(inputs, np.float32) - middle) / reach)
