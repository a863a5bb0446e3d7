"""Equation solving: a linear model is its answers to one input more than it has features.

Source: Tramer et al. 2016, arXiv 1609.02943, section 4.1 (scores); Lowd and Meek 2005 for labels,
here for any number of classes: each point on a boundary between two classes is one homogeneous
equation in the weights, and the weights are the null vector of enough of them.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Access, Images, Labels, Target, product

HALVINGS = 24
"""Bisections of one segment; float32 inputs are not known better."""
SPARE = 1.3
"""Equations for each one that is needed."""
MOST_UNKNOWNS = 1500
"""Weights that labels alone are asked for; the solution costs their cube."""
SCOUTS = 256
Floats = NDArray[np.float64]
Ask = Callable[[Floats], Floats]
AskLabels = Callable[[Floats], Labels]


def equation_solving(
    target: Target, *, pool: Images, budget: int, labels_only: bool = False, seed: int = 0
) -> Reply:
    """Solves for the weights that a linear model would have.

    Args:
        target: Victim; whether it is linear is for the caller to find out.
        pool: (m, …) inputs that the thief owns, to start from when only labels are told.
        budget: Most queries.
        labels_only: Uses only the class that the target names.
        seed: Equal seeds give equal weights.

    Returns:
        Arrays ``weights`` (classes, features) and ``offset`` (classes,), float64, for flattened raw
        inputs: scores up to what all classes share, and up to scale when only labels were used.
        Empty when the budget is too small. Values ``queries``, ``equations``.
    """
    before = target.meter.forwards
    shape = target.input_shape

    def ask(rows: Floats) -> Floats:
        return target.scores(rows.reshape(-1, *shape).astype(np.float32)).astype(np.float64)

    if labels_only or target.access is Access.LABELS:
        rows = pool.reshape(len(pool), -1).astype(np.float64)
        solved, equations = from_labels(
            lambda asked: ask(asked).argmax(axis=1).astype(np.int64),
            rows,
            classes=target.classes,
            bounds=target.bounds,
            budget=budget,
            seed=seed,
        )
    elif product(shape) + 1 <= budget:
        solved, equations = from_scores(ask, product(shape), target.bounds), product(shape) + 1
    else:
        solved, equations = np.zeros((0, product(shape) + 1)), 0
    spent = target.meter.forwards - before
    return Reply(
        {"weights": solved[:, :-1], "offset": solved[:, -1]},
        {"passes": spent, "queries": spent, "equations": equations},
    )


def from_scores(ask: Ask, features: int, bounds: tuple[float, float]) -> Floats:
    """Returns weights and offset (classes, features + 1) from ``features`` + 1 queries.

    Logarithms of probabilities differ from logits by what all classes share, so differences to the
    first class are linear either way.
    """
    low, high = bounds
    middle = (low + high) / 2
    steps = np.eye(features) * (high - middle)
    answers = ask(middle + np.concatenate([np.zeros((1, features)), steps]))
    relative = answers - answers[:, :1]
    slopes = (relative[1:] - relative[0]).T / (high - middle)
    offset = relative[0] - slopes.sum(axis=1) * middle
    return np.concatenate([slopes, offset[:, None]], axis=1)


def from_labels(
    ask: AskLabels,
    pool: Floats,
    *,
    classes: int,
    bounds: tuple[float, float],
    budget: int,
    seed: int,
) -> tuple[Floats, int]:
    """Returns weights and offset (classes, features + 1) up to scale, and how many equations.

    None of either when the budget or the classes seen do not suffice.
    """
    features = pool.shape[1]
    unknowns = (classes - 1) * (features + 1)
    nothing = np.zeros((0, features + 1)), 0
    wanted = int(np.ceil(SPARE * unknowns)) + 8
    if unknowns > MOST_UNKNOWNS or budget < SCOUTS + wanted * HALVINGS:
        return nothing
    rng = np.random.default_rng([seed, 1609])
    scouts = _scouts(pool, bounds, rng)
    labels = ask(scouts)
    if len(np.unique(labels)) < classes:
        return nothing
    left, right = _pairs(labels, wanted, rng)
    points, near, far = bisected(ask, scouts[left], scouts[right], labels[left], labels[right])
    equations = np.zeros((wanted, classes, features + 1))
    homogeneous = np.concatenate([points, np.ones((wanted, 1))], axis=1)
    rows = np.arange(wanted)
    equations[rows, near] += homogeneous
    equations[rows, far] -= homogeneous
    # The first class is the origin: weights are known up to what all classes share.
    _, _, right_vectors = np.linalg.svd(equations[:, 1:].reshape(wanted, unknowns))
    solved = np.zeros((classes, features + 1))
    solved[1:] = right_vectors[-1].reshape(classes - 1, features + 1)
    agreed = np.mean(predicted(solved, scouts) == labels)
    against = np.mean(predicted(-solved, scouts) == labels)
    return (solved if agreed >= against else -solved), wanted


def bisected(
    ask: AskLabels, left: Floats, right: Floats, at_left: Labels, at_right: Labels
) -> tuple[Floats, Labels, Labels]:
    """Returns a point on a class boundary of each segment, and the classes on its two sides."""
    near, far = at_left.copy(), at_right.copy()
    low, high = np.zeros(len(left)), np.ones(len(left))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        labels = ask(left + middle[:, None] * (right - left))
        same = labels == near
        low, high = np.where(same, middle, low), np.where(same, high, middle)
        far = np.where(same, far, labels)
    share = ((low + high) / 2)[:, None]
    return left + share * (right - left), near, far


def predicted(solved: Floats, rows: Floats) -> Labels:
    """Returns the classes that recovered weights name for flattened inputs."""
    labels: Labels = (rows @ solved[:, :-1].T + solved[:, -1]).argmax(axis=1).astype(np.int64)
    return labels


def _scouts(pool: Floats, bounds: tuple[float, float], rng: np.random.Generator) -> Floats:
    """Natural inputs and noise, so that every class is met and segments point everywhere."""
    natural = pool[rng.integers(0, len(pool), SCOUTS // 2)]
    return np.concatenate([natural, rng.uniform(*bounds, (SCOUTS - len(natural), pool.shape[1]))])


def _pairs(
    labels: Labels, wanted: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draws pairs of unequal labels, every class as often on the left as any other."""
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    left = np.array([rng.choice(groups[at % len(groups)]) for at in range(wanted)])
    right = np.array([rng.choice(np.flatnonzero(labels != labels[at])) for at in left])
    return left, right
