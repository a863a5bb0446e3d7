"""Adversarial patches: a small rectangle may hold anything, all else stays as it is.

Sources: Brown et al. 2017, arXiv 1712.09665 (one patch for all pictures and places, expectation
over places); Rao et al. 2020, arXiv 2005.02313 (the place is searched as well). Inside the
rectangle: projected sign ascent on the margin.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.attacks.corruptions.picture import Layout
from tasks.attacks.evasion.keyed import generator_for
from tasks.attacks.evasion.nearest import lost
from tasks.domain.errors import TargetError
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target

FIRST_STRIDE = 0.25
"""Length of the first step, in input ranges; the last ones go to zero."""
BATCH = 128
Places = NDArray[np.int64]
"""(k, 2): top and left of the rectangle, in pixels."""


def patch(
    target: Target,
    *,
    inputs: Images,
    labels: Labels,
    side: int,
    steps: int = 50,
    places: int = 3,
    seed: int = 0,
) -> Reply:
    """Searches a patch for each picture, at the places where a grey one hurts most.

    Args:
        target: Victim that reveals gradients.
        inputs: (n, …) float32, raw pictures, correctly classified.
        labels: (n,) true classes.
        side: Of the square, in pixels; cut to the picture.
        steps: Steps per picture and place; each costs one forward and one backward.
        places: Places tried per picture.
        seed: Equal seeds give equal outputs, whatever else is in the batch.

    Returns:
        Arrays ``candidates`` (like ``inputs``) and ``found`` (n,); values ``passes``, ``queries``.
        The caller measures the rectangle and success itself.

    Raises:
        TargetError: The target reveals no gradients.
    """
    search = _Search(target, inputs, labels, side)
    order = search.screened()
    for rank in range(min(places, order.shape[1])):
        open_ = np.flatnonzero(~search.found)
        for start in range(0, len(open_), BATCH):
            rows = open_[start : start + BATCH]
            search.ascend(rows, search.grid[order[rows, rank]], steps, seed, f"patch/{rank}")
    return search.reply()


def universal_patch(
    target: Target,
    *,
    inputs: Images,
    labels: Labels,
    side: int,
    steps: int = 100,
    batch: int = 32,
    seed: int = 0,
) -> Reply:
    """Makes one patch that should work on any picture at any place.

    Arguments and errors are those of :func:`patch`; each step draws ``batch`` pictures and places.

    Returns:
        Array ``patch`` (channels, side, side) in 0..1; values ``passes`` and ``queries``. The
        caller lays it over other pictures and asks.
    """
    search = _Search(target, inputs, labels, side)
    rng = np.random.default_rng([seed, side])
    shape = (search.channels, *search.box)
    now = torch.from_numpy(rng.random(shape)).float()
    for step in range(steps if len(labels) else 0):
        rows = rng.integers(0, len(labels), min(batch, len(labels)))
        places = search.grid[rng.integers(0, len(search.grid), len(rows))]
        slope = search.slope_of_shared(rows, places, now)
        now = (now - FIRST_STRIDE * (1 - step / steps) * slope.sign()).clamp(0, 1)
    return search.reply(patch=now.numpy())


def laid(
    inputs: NDArray[np.float32], layout: Layout, patch: NDArray[np.float32], places: Places
) -> NDArray[np.float32]:
    """Returns raw pictures with ``patch`` laid over each at its place."""
    _, tall, broad = patch.shape
    shown = []
    for item, (top, left) in zip(inputs, places, strict=True):
        picture = layout.picture(item)
        picture[:, top : top + tall, left : left + broad] = patch
        shown.append(layout.item(picture))
    return np.stack(shown) if shown else inputs.copy()


class _Search:
    def __init__(self, target: Target, inputs: Images, labels: Labels, side: int) -> None:
        if target.module is None:
            raise TargetError("this attack needs gradients, the target reveals only scores")
        self.target, self.module = target, target.module
        self.before = target.meter.forwards, target.meter.backwards
        self.layout = Layout(target.input_shape, target.bounds)
        self.clean = np.ascontiguousarray(inputs, np.float32)
        self.labels = labels.astype(np.int64)
        height, width = self.layout.sides
        self.box = min(side, height), min(side, width)
        self.channels = int(np.prod(target.input_shape)) // (height * width)
        self.grid = _grid(self.layout.sides, self.box)
        self.candidates = self.clean.copy()
        self.found = np.zeros(len(labels), dtype=bool)

    def screened(self) -> Places:
        """Ranks the places of each picture: where a grey patch lowers the lead most, first."""
        grey = np.full((self.channels, *self.box), 0.5, np.float32)
        lead = np.stack(
            [
                self._lead(
                    laid(self.clean, self.layout, grey, place[None].repeat(len(self.clean), 0))
                )
                for place in self.grid
            ],
            axis=1,
        )
        return np.argsort(lead, axis=1, kind="stable")

    def ascend(
        self, rows: NDArray[np.int64], places: Places, steps: int, seed: int, purpose: str
    ) -> None:
        """Fills the rectangles of some pictures so that the true class falls behind."""
        mask = torch.from_numpy(self._masks(places))
        clean = torch.from_numpy(self.clean[rows])
        labels = torch.from_numpy(self.labels[rows])
        low, high = self.target.bounds
        noise = np.stack(
            [
                generator_for(item, seed=seed, purpose=purpose).uniform(low, high, item.shape)
                for item in self.clean[rows]
            ]
        )
        now = torch.where(mask, torch.from_numpy(noise).float(), clean)
        for step in range(steps + 1):
            slope, broken = self._slope(now, labels)
            self._note(rows, now, broken)
            going = ~broken
            rows, mask, labels = rows[going.numpy()], mask[going], labels[going]
            if not len(rows):
                return
            stride = FIRST_STRIDE * (high - low) * (1 - step / (steps + 1))
            moved = (now[going] - stride * slope[going].sign()).clamp(low, high)
            now = torch.where(mask, moved, now[going])

    def slope_of_shared(
        self, rows: NDArray[np.int64], places: Places, shared: torch.Tensor
    ) -> torch.Tensor:
        """Returns the mean slope of the lead in the values of one patch laid at many places."""
        covered = laid(self.clean[rows], self.layout, shared.numpy(), places)
        labels = torch.from_numpy(self.labels[rows])
        slope, _ = self._slope(torch.from_numpy(covered), labels)
        tall, broad = self.box
        parts = []
        for one, (top, left) in zip(slope.numpy(), places, strict=True):
            plane = np.moveaxis(one, -1, 0) if self.layout.channels_last else one
            plane = plane.reshape(self.channels, *self.layout.sides)
            parts.append(plane[:, top : top + tall, left : left + broad])
        return torch.from_numpy(np.mean(parts, axis=0))

    def reply(self, **more: NDArray[np.float32]) -> Reply:
        forwards = self.target.meter.forwards - self.before[0]
        backwards = self.target.meter.backwards - self.before[1]
        return Reply(
            {"candidates": self.candidates, "found": self.found, **more},
            {"passes": forwards + backwards, "queries": forwards},
        )

    def _slope(self, now: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rows = torch.arange(len(labels))
        with torch.enable_grad():
            now = now.detach().requires_grad_()
            scores = self.module(now)
            others = scores.scatter(1, labels[:, None], -torch.inf)
            lead = scores[rows, labels] - others.amax(dim=1)
            (slope,) = torch.autograd.grad(lead.sum(), now)
        return slope, lost(scores.detach(), labels)

    def _lead(self, moved: Images) -> NDArray[np.float64]:
        scores = self.target.scores(moved).astype(np.float64)
        rows = np.arange(len(scores))
        own = scores[rows, self.labels].copy()
        scores[rows, self.labels] = -np.inf
        lead: NDArray[np.float64] = own - scores.max(axis=1, initial=-np.inf)
        return lead

    def _masks(self, places: Places) -> NDArray[np.bool_]:
        ones = np.ones((self.channels, *self.box), np.float32)
        empty = np.full((len(places), *self.layout.shape), self.layout.low, np.float32)
        masks: NDArray[np.bool_] = laid(empty, self.layout, ones, places) > self.layout.low
        return masks

    def _note(self, rows: NDArray[np.int64], now: torch.Tensor, broken: torch.Tensor) -> None:
        fallen = rows[broken.numpy()]
        self.found[fallen] = True
        self.candidates[fallen] = now[broken].numpy()


def _grid(sides: tuple[int, int], box: tuple[int, int]) -> Places:
    """Returns places half a patch apart that together cover the picture."""
    along = [
        np.unique(np.linspace(0, length - part, 2 * -(-length // part) - 1).round())
        for length, part in zip(sides, box, strict=True)
    ]
    mesh = np.meshgrid(*along, indexing="ij")
    places: Places = np.stack([axis.ravel() for axis in mesh], axis=1).astype(np.int64)
    return places
