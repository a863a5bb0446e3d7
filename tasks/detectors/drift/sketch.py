"""Sketches of tables: integer counts in fixed cells, so that partitions simply add up.

The cells come from a layout that is made once, from a sample of the reference. A sketch then
costs the same memory for a thousand rows and for a billion, and the sum of the sketches of all
partitions is, count for count, the sketch of the whole.

A column of numbers has an edge at each of 2,048 quantiles of the sample (at each value, where
there are fewer): the gap of two distribution functions at the edges is exact, and at most the share
of the heaviest cell is missed between them. A column of categories has one cell for each name
known to the layout, and 64 cells into which all other names fall by their hash.
"""

import json
from typing import Literal, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from tasks.domain.digest import Digest, digest_of
from tasks.domain.frozen import Frozen, canonical_json
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import Floats
from tasks.statistics.two_sample import Counts

EDGES = 2048
MOST_CATEGORIES = 1000
HASHED = 64
KEPT_ROWS = 2000
"""Rows that a sketch keeps whole, drawn at random, for what needs several columns at once."""
CONFIDENCE_CELLS = 100
Role = Literal["feature", "label", "prediction", "derived"]


class Column(Frozen):
    """What one column is: numbers, or categories with the names that the layout knows."""

    name: str
    kind: Literal["number", "category"]
    role: Role = "feature"
    categories: tuple[str, ...] = ()


class Reading(Frozen):
    """How labels and outputs are read; made once, from the reference.

    ``kind`` says what the prediction columns are: one score a class, the probability of the second
    of two classes, a class, or a value. ``tolerance`` is what a value may miss by and still be
    right.
    """

    labels: str | None = None
    predictions: tuple[str, ...] = ()
    kind: Literal["none", "scores", "probability", "class", "value"] = "none"
    classes: tuple[str, ...] = ()
    tolerance: float = 0.0


class Layout(NamedTuple):
    """The cells of every column: descriptions, edges of the columns of numbers, and how to read."""

    columns: tuple[Column, ...]
    edges: tuple[Floats, ...]
    reading: Reading = Reading()

    @property
    def digest(self) -> Digest:
        """What two sketches must share to be added or compared."""
        told = [one.model_dump(mode="json") for one in (*self.columns, self.reading)]
        return digest_of(canonical_json(told) + b"".join(edges.tobytes() for edges in self.edges))

    def cells(self, index: int) -> int:
        """Returns how many counts a column has; the last one is of missing values."""
        column = self.columns[index]
        if column.kind == "number":
            return len(self.edges[index]) + 2
        return len(column.categories) + HASHED + 1


class Sketch(NamedTuple):
    """The counts of one table under a layout, and a few rows.

    ``counts`` has one array for each column. ``kept`` are rows (k, columns) as float32, categories
    as cell numbers, with one random number each by which they were drawn. ``shown``, ``answered``
    and ``right`` count rows (100,) by the model's confidence: all, those with a label, and those
    answered rightly.
    ``sources`` are the digests of the files.
    """

    layout: Layout
    rows: int
    counts: tuple[Counts, ...]
    kept: NDArray[np.float32]
    draws: Floats
    right: Counts
    answered: Counts
    shown: Counts
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def column(self, name: str) -> int | None:
        """Returns the place of a column, or None."""
        names = [column.name for column in self.layout.columns]
        return names.index(name) if name in names else None

    def places(self, *roles: Role) -> list[int]:
        """Returns the places of the columns of these roles."""
        return [at for at, column in enumerate(self.layout.columns) if column.role in roles]


def empty(layout: Layout) -> Sketch:
    """Returns the sketch of no rows: what adding starts from."""
    columns = len(layout.columns)
    return Sketch(
        layout,
        0,
        tuple(np.zeros(layout.cells(index), dtype=np.int64) for index in range(columns)),
        np.zeros((0, columns), dtype=np.float32),
        np.zeros(0),
        np.zeros(CONFIDENCE_CELLS, dtype=np.int64),
        np.zeros(CONFIDENCE_CELLS, dtype=np.int64),
        np.zeros(CONFIDENCE_CELLS, dtype=np.int64),
    )


def merged(first: Sketch, second: Sketch) -> Sketch:
    """Returns the sketch of both tables together; the order does not matter.

    Raises:
        ValueError: The sketches have different layouts.
    """
    if first.layout is not second.layout and first.layout.digest != second.layout.digest:
        raise ValueError("sketches of different layouts cannot be added")
    draws = np.concatenate([first.draws, second.draws])
    order = np.argsort(draws, kind="stable")[:KEPT_ROWS]
    return Sketch(
        first.layout,
        first.rows + second.rows,
        tuple(one + two for one, two in zip(first.counts, second.counts, strict=True)),
        np.concatenate([first.kept, second.kept])[order],
        draws[order],
        first.right + second.right,
        first.answered + second.answered,
        first.shown + second.shown,
        tuple(sorted({*first.sources, *second.sources})),
        tuple(sorted({*first.notes, *second.notes})),
    )


def dumped(sketch: Sketch) -> bytes:
    """Returns a sketch as safetensors; equal sketches give equal bytes."""
    tensors: dict[str, Array] = {
        "kept": np.ascontiguousarray(sketch.kept),
        "draws": sketch.draws,
        "right": sketch.right,
        "answered": sketch.answered,
        "shown": sketch.shown,
        "counts": np.concatenate([*sketch.counts, np.zeros(0, dtype=np.int64)]),
        "edges": np.concatenate([*sketch.layout.edges, np.zeros(0)]),
    }
    told = {
        "schema": "proofhouse.sketch/1",
        "rows": sketch.rows,
        "columns": [column.model_dump(mode="json") for column in sketch.layout.columns],
        "edges": [len(edges) for edges in sketch.layout.edges],
        "reading": sketch.layout.reading.model_dump(mode="json"),
        "sources": sketch.sources,
        "notes": sketch.notes,
    }
    # One entry only: several would be written in no fixed order.
    return safetensors.numpy.save(tensors, {"sketch": canonical_json(told).decode()})


def loaded(data: bytes) -> Sketch:
    """Reads what :func:`dumped` wrote.

    Raises:
        ValueError: The bytes are not a sketch.
    """
    try:
        tensors = safetensors.numpy.load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        told = json.loads(header["__metadata__"]["sketch"])
        columns = tuple(Column.model_validate(column) for column in told["columns"])
        reading = Reading.model_validate(told["reading"])
        layout = Layout(columns, tuple(_cut(tensors["edges"], told["edges"])), reading)
        cells = [layout.cells(index) for index in range(len(columns))]
        sketch = Sketch(
            layout,
            int(told["rows"]),
            tuple(_cut(tensors["counts"], cells)),
            tensors["kept"],
            tensors["draws"],
            tensors["right"],
            tensors["answered"],
            tensors["shown"],
            tuple(told["sources"]),
            tuple(told["notes"]),
        )
    except (KeyError, TypeError, safetensors.SafetensorError) as error:
        raise ValueError(f"these bytes are no sketch of a table: {error!r}") from error
    if sum(cells) != len(tensors["counts"]):
        raise ValueError("the sketch has more counts than its columns have cells")
    return sketch


def _cut(array: Array, lengths: list[int]) -> list[Array]:
    ends = np.cumsum(lengths, dtype=np.int64)
    return [array[end - length : end] for end, length in zip(ends, lengths, strict=True)]
