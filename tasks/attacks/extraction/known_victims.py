"""Victims whose inside is known: what exact extraction must recover, and what it cannot.

They stand where the opened target would, so the method under test cannot tell the difference.
"""

from typing import Any

import numpy as np
import torch

from tasks.attacks.extraction.equation_solving import equation_solving
from tasks.attacks.extraction.path_finding import path_finding
from tasks.sandbox.protocol import Array, Reply
from tasks.targets.protocol import Access, Images, Meter, Scores, Target, product

DEPTH = 3
HIDDEN = 32


class KnownVictim:
    """A victim by name (``linear``, ``tree``, ``curved``) in the shape of ``like``."""

    module: torch.nn.Module | None = None

    def __init__(self, name: str, like: Target, *, seed: int) -> None:
        self.input_shape, self.bounds, self.classes = like.input_shape, like.bounds, like.classes
        # Labels where the model tells labels, so that the same arm is tried.
        self.access = Access.LABELS if like.access is Access.LABELS else Access.SCORES
        self.meter = Meter()
        self._name = name
        rng = np.random.default_rng([seed, 7, len(name)])
        features = product(self.input_shape)
        self._weights = rng.normal(size=(features, self.classes)) / np.sqrt(features)
        self._hidden = rng.normal(size=(features, HIDDEN)) * 6 / np.sqrt(features)
        self._out = rng.normal(size=(HIDDEN, self.classes)) * 3 / np.sqrt(HIDDEN)
        self._features = rng.integers(0, features, 2**DEPTH - 1)
        self._splits = rng.uniform(0.3, 0.7, 2**DEPTH - 1)
        self._leaves = rng.normal(size=(2**DEPTH, self.classes)).astype(np.float32)

    def scores(self, inputs: Images) -> Scores:
        """Answers a batch of any size."""
        self.meter.forwards += len(inputs)
        low, high = self.bounds
        unit = (inputs.reshape(len(inputs), -1).astype(np.float64) - low) / (high - low)
        answers = getattr(self, f"_{self._name}")(unit).astype(np.float32)
        if self.access is Access.LABELS:
            answers = np.eye(self.classes, dtype=np.float32)[answers.argmax(axis=1)]
        found: Scores = answers
        return found

    def describe(self) -> dict[str, Any]:
        """Says what it is, as JSON values."""
        return {"kind": f"known {self._name}", "access": self.access.value}

    def _linear(self, unit: Any) -> Any:
        return 4 * (unit - 0.5) @ self._weights

    def _curved(self, unit: Any) -> Any:
        return np.tanh((unit - 0.5) @ self._hidden) @ self._out

    def _tree(self, unit: Any) -> Any:
        node = np.zeros(len(unit), np.int64)
        for _ in range(DEPTH):
            right = unit[np.arange(len(unit)), self._features[node]] > self._splits[node]
            node = 2 * node + 1 + right
        return self._leaves[node - (2**DEPTH - 1)]


ATTACKS = {"equation_solving": equation_solving, "path_finding": path_finding}


def known_victims(
    target: Target,
    *,
    pool: Images,
    held_out: Images,
    attack: str,
    planted: str,
    clean: str,
    budget: int,
    seed: int = 0,
) -> Reply:
    """Runs ``attack`` on a victim that it must recover and on one that it cannot.

    The opened target is left alone: this measures the method, not the model.

    Returns:
        The attack's arrays with ``planted_`` or ``clean_`` before their names, and
        ``planted_scores`` and ``clean_scores``, what the victims answer to ``held_out``.
    """
    arrays: dict[str, Array] = {}
    for role, name in (("planted", planted), ("clean", clean)):
        victim = KnownVictim(name, target, seed=seed)
        reply = ATTACKS[attack](victim, pool=pool, budget=budget, seed=seed)
        arrays |= {f"{role}_{key}": value for key, value in reply.arrays.items()}
        arrays[f"{role}_scores"] = victim.scores(held_out)
    return Reply(arrays, {})
