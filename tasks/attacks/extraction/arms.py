"""What a model could answer instead of its scores, and what a thief would learn from that.

Each arm is a defence that costs the honest user something; the copy says what it buys. All arms
are made from one set of answers, so that comparing them costs no further queries.
"""

from collections.abc import Callable, Mapping

import numpy as np

from tasks.attacks.extraction.students import Beliefs, certain
from tasks.sandbox.protocol import Array
from tasks.targets.protocol import Labels

DECIMALS = 1
TOP = 3
NOISE = 0.2
"""Standard deviation added to every probability."""


def answered(arm: str, beliefs: Beliefs, *, seed: int) -> Beliefs:
    """Returns what the model would have answered under ``arm``, rows summing to one.

    Args:
        arm: A name of :data:`ARMS`.
        beliefs: (n, classes) the model's probabilities.
        seed: Of the noise.
    """
    return ARMS[arm](beliefs, np.random.default_rng([seed, 2019]))


def named(beliefs: Beliefs) -> Labels:
    """Returns the class that an honest user would read from each row."""
    labels: Labels = beliefs.argmax(axis=1).astype(np.int64)
    return labels


def _as_they_are(beliefs: Beliefs, _: np.random.Generator) -> Beliefs:
    return beliefs


def _labels(beliefs: Beliefs, _: np.random.Generator) -> Beliefs:
    return certain(named(beliefs), beliefs.shape[1])


def _rounded(beliefs: Beliefs, _: np.random.Generator) -> Beliefs:
    return _summing(np.round(beliefs, DECIMALS), beliefs)


def _top(beliefs: Beliefs, _: np.random.Generator) -> Beliefs:
    """The largest few probabilities; a thief spreads the rest evenly over the other classes."""
    classes = beliefs.shape[1]
    count = min(TOP, classes - 1)
    order = np.argsort(-beliefs, axis=1)
    kept = np.take_along_axis(beliefs, order[:, :count], axis=1)
    rest = (1 - kept.sum(axis=1, keepdims=True)).clip(0) / (classes - count)
    spread = np.repeat(rest, classes, axis=1)
    np.put_along_axis(spread, order[:, :count], kept, axis=1)
    return _summing(spread, beliefs)


def _noised(beliefs: Beliefs, dice: np.random.Generator) -> Beliefs:
    moved = beliefs + dice.normal(0, NOISE, beliefs.shape)
    return _summing(moved.clip(0), beliefs)


def _summing(changed: Array, beliefs: Beliefs) -> Beliefs:
    total = changed.sum(axis=1, keepdims=True)
    # Where nothing is left (many classes, all rounded away), only the order was told.
    labels = certain(named(beliefs), beliefs.shape[1])
    told = np.where(total > 0, changed / np.where(total > 0, total, 1), labels)
    return told.astype(np.float32)


Arm = Callable[[Beliefs, np.random.Generator], Beliefs]
ARMS: Mapping[str, Arm] = {
    "scores": _as_they_are,
    "rounded": _rounded,
    "top": _top,
    "noised": _noised,
    "labels": _labels,
}
