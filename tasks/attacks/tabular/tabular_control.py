"""A table with planted rules and two readers: one that can be misled within them, one that cannot.

Columns: two mutable amounts and their total, a fixed age, a category in three ones and zeros. The
weak reader looks at the total, the strong one at the fixed column alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.evasion.linear_control import linear_target
from tasks.attacks.tabular.capgd import capgd
from tasks.attacks.tabular.evolution import evolution
from tasks.domain.table import Column, Relation, Table
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Target

EPSILON = 0.2
POINTS = 24
STEP = 0.05


def control_table() -> Table:
    """Returns the rules of the control; the caller judges by them."""
    return Table(
        columns=(
            Column(name="first", low=0, high=0.5, step=STEP),
            Column(name="second", low=0, high=0.5, step=STEP),
            Column(name="total", low=0, high=1),
            Column(name="age", low=0, high=1, immutable=True),
            *(Column(name=f"kind {at}", kind="one_hot", group="kind") for at in range(3)),
        ),
        relations=(
            Relation(
                terms={"total": 1, "first": -1, "second": -1}, compare="==", solve_for="total"
            ),
            Relation(terms={"first": 1, "second": -1}, compare="<=", bound=0.4),
        ),
    )


def control_rows(seed: int) -> NDArray[np.float32]:
    """Returns possible rows whose total lies so near the middle that they can cross it."""
    rng = np.random.default_rng([seed, 5])
    first = STEP * rng.integers(4, 6, POINTS)
    second = STEP * rng.integers(4, 6, POINTS)
    age = rng.random(POINTS)
    kind = np.eye(3)[rng.integers(0, 3, POINTS)]
    rows = np.column_stack([first, second, first + second, age, kind])
    return rows.astype(np.float32)


def tabular_control(_target: Target, *, seed: int = 0) -> Reply:
    """Attacks both readers with both attacks; the opened target is left alone.

    Returns:
        Arrays ``weak`` and ``strong`` (candidates) and ``weak_labels`` and ``strong_labels``;
        value ``passes``. The rows are :func:`control_rows`, the rules :func:`control_table`.
    """
    rows, table = control_rows(seed), control_table().model_dump(mode="json")
    arrays: dict[str, NDArray[Any]] = {}
    passes = 0
    for name, column in (("weak", 2), ("strong", 3)):
        weights = np.zeros((2, rows.shape[1]), np.float32)
        weights[1, column] = 1
        victim = linear_target(weights, np.array([0.475, 0], np.float32))
        labels = victim.scores(rows).argmax(axis=1).astype(np.int64)
        settings: dict[str, Any] = {"table": table, "epsilon": EPSILON, "seed": seed}
        first = capgd(victim, inputs=rows, labels=labels, **settings)
        second = evolution(victim, inputs=rows, labels=labels, generations=10, **settings)
        found = first.arrays["found"][:, None]
        arrays[name] = np.where(found, first.arrays["candidates"], second.arrays["candidates"])
        arrays[f"{name}_labels"] = labels
        passes += victim.meter.passes
    return Reply(arrays, {"passes": passes})
