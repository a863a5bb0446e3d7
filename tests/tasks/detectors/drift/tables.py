"""Small tables and their sketches, for tests of drift."""

from collections.abc import Mapping

import numpy as np

from tasks.detectors.drift.sketch import Layout, Sketch
from tasks.intake.comparison import Roles, plan
from tasks.intake.sketching import Counting
from tasks.intake.table_batches import Batch, Coded, Values
from tasks.sandbox.protocol import Array


def batch(columns: Mapping[str, Array]) -> Batch:
    """Returns columns as a reader gives them: text as codes, everything else as float64."""
    found: dict[str, Values] = {}
    for name, column in columns.items():
        if column.dtype.kind in "US":
            names, codes = np.unique(column, return_inverse=True)
            found[name] = Coded(codes.astype(np.int64), [str(one) for one in names])
        else:
            found[name] = column.astype(np.float64)
    return found


def layout(columns: Mapping[str, Array], **roles: object) -> Layout:
    return plan([batch(columns)], Roles.model_validate(roles))


def sketch(cells: Layout, columns: Mapping[str, Array], source: str = "table") -> Sketch:
    counter = Counting(cells, source=source, seed=1)
    counter.add(batch(columns))
    return counter.sketch._replace(notes=tuple(sorted(counter.notes)))


def people(seed: int, rows: int, *, older: float = 0.0, farmers: float = 0.0) -> dict[str, Array]:
    """Draws rows of two numbers and a category; two of them can be moved."""
    rng = np.random.default_rng(seed)
    job = rng.choice(["clerk", "nurse", "smith"], size=rows, p=[0.5, 0.3, 0.2]).astype("U10")
    job[rng.random(rows) < farmers] = "farmer"
    return {
        "age": rng.normal(40, 10, rows) + older,
        "income": rng.lognormal(3, 1, rows),
        "job": job,
    }
