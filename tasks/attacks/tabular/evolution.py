"""Evolutionary search for possible rows of another class: needs scores only.

Source: Simonetto et al. 2022 (IJCAI), arXiv 2112.01156 (MOEVA2). Ours repairs every offspring, so
that broken relations need no objective of their own, and keeps what has the least lead.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.evasion.keyed import generator_for
from tasks.attacks.tabular.ground import Ground
from tasks.attacks.tabular.rules import Rows
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Target

SURVIVORS = 0.5
"""Share of a generation that lives on."""
MUTATED = 0.3
"""Chance that a value of an offspring is drawn anew."""


def evolution(target: Target, *, population: int = 20, generations: int = 20, **rows: Any) -> Reply:
    """Breeds rows around each row until one has another class.

    Args:
        target: Victim that reveals scores (or labels: then it is a blind search).
        population: Rows bred side by side for each row.
        generations: How often; each costs ``population`` queries per row.
        rows: What :class:`Ground` takes.

    Returns:
        See :meth:`Ground.reply`.
    """
    breed = _Breed(target, max(2, population), **rows)
    for _ in range(generations if len(breed.labels) else 0):
        if not breed.advance():
            break
    return breed.reply()


class _Breed(Ground):
    def __init__(self, target: Target, population: int, **rows: Any) -> None:
        super().__init__(target, **rows)
        self.size = population
        self.rngs = [
            generator_for(item.astype(np.float32), seed=self.seed, purpose="evolution")
            for item in self.clean
        ]
        self.parents = np.repeat(self.clean[:, None], population, axis=1)
        self.leads = np.full((len(self.labels), population), np.inf)

    def advance(self) -> bool:
        """Breeds one generation of every row that still stands; False when none does."""
        rows = np.flatnonzero(self.lead >= 0)
        if not len(rows):
            return False
        proposed = np.stack([self._offspring(int(row)) for row in rows])
        count, size, columns = proposed.shape
        clean = np.repeat(self.clean[rows], size, axis=0)
        bred, asked = self.asked(
            proposed.reshape(-1, columns), clean, np.repeat(self.labels[rows], size)
        )
        self._select(rows, bred.reshape(count, size, columns), asked.reshape(count, size))
        return True

    def _offspring(self, row: int) -> Rows:
        """Crosses survivors value by value and draws some values anew."""
        rng, size, columns = self.rngs[row], self.size, self.clean.shape[1]
        survivors = max(1, int(SURVIVORS * size))
        mothers, fathers = rng.integers(0, survivors, (2, size))
        parents = self.parents[row]
        child = np.where(rng.random((size, columns)) < 0.5, parents[mothers], parents[fathers])
        drawn = self._drawn(rng, row)
        changed: Rows = np.where(rng.random((size, columns)) < MUTATED, drawn, child)
        return changed

    def _drawn(self, rng: np.random.Generator, row: int) -> Rows:
        """Draws values within budget: ends of the interval as often as anything between."""
        shape = (self.size, self.clean.shape[1])
        wide, narrow = rng.uniform(-1, 1, shape), np.sign(rng.uniform(-1, 1, shape))
        shift = np.where(rng.random(shape) < 0.5, narrow, wide)
        near = self.clean[row] + self.allowed.epsilon * self.rules.width * shift
        anywhere = self.rules.low + self.rules.width * rng.random(shape)
        for group in self.rules.groups:
            anywhere[:, group] = np.eye(len(group))[rng.integers(0, len(group), self.size)]
        drawn: Rows = np.where(self.rules.number, near, anywhere)
        return drawn

    def _select(self, rows: NDArray[np.int64], bred: Rows, leads: NDArray[np.float64]) -> None:
        """Keeps the rows of least lead among parents and offspring."""
        everyone = np.concatenate([self.parents[rows], bred], axis=1)
        all_leads = np.concatenate([self.leads[rows], leads], axis=1)
        order = all_leads.argsort(axis=1, kind="stable")[:, : self.size]
        self.parents[rows] = np.take_along_axis(everyone, order[:, :, None], axis=1)
        self.leads[rows] = np.take_along_axis(all_leads, order, axis=1)
        better = self.leads[rows, 0] < self.lead[rows]
        chosen = rows[better]
        self.best[chosen], self.lead[chosen] = self.parents[chosen, 0], self.leads[chosen, 0]
