"""Runs in the sandbox child: one file of a table to a sample of it, or to its sketch.

First :func:`survey_table` shows what the reference looks like; the trusted side makes the cells
from it. Then :func:`count_table` counts any file in those cells, batch by batch.
"""

import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from tasks.detectors.drift.layouts import code_name
from tasks.detectors.drift.sketch import (
    HASHED,
    KEPT_ROWS,
    Column,
    Layout,
    Reading,
    Sketch,
    dumped,
    empty,
    merged,
)
from tasks.intake.decoding import Undecodable
from tasks.intake.names import shown
from tasks.intake.outcomes import derived
from tasks.intake.table_batches import Batch, Coded, Values, as_numbers, coded, read_batches
from tasks.sandbox.protocol import Reply
from tasks.statistics.intervals import Floats
from tasks.statistics.two_sample import Counts

SAMPLED = 65_536
MOST_SAMPLED_VALUES = 8_000_000
MOST_NAMES = 5_000


def survey_table(*, path: str, most_rows: int = SAMPLED, project: bool = True) -> Reply:
    """Reads a file once and returns rows at even distances.

    With ``project``, arrays of many values an item come as projections.

    Returns:
        Array ``rows`` (k, columns) float64: numbers, or places in the column's ``names``, NaN where
        missing. ``values["columns"]``: name and names (None for numbers) of each;
        ``values["notes"]``; ``values["problem"]`` says why there is nothing else.
    """
    notes: list[str] = []
    sample = _Sample(most_rows)
    try:
        for batch in read_batches(Path(path), notes, project=project):
            sample.add(batch)
        rows, columns = sample.told()
    except Undecodable as reason:
        return Reply({}, {"problem": str(reason)})
    except Exception as error:  # noqa: BLE001 - parsers of hostile files raise anything
        return Reply({}, {"problem": f"{type(error).__name__}: {shown(str(error).strip())}"})
    return Reply({"rows": rows}, {"problem": "", "columns": columns, "notes": notes})


def count_table(
    *,
    path: str,
    columns: list[dict[str, Any]],
    edge_counts: list[int],
    edges: Floats,
    reading: dict[str, Any],
    source: str,
    seed: int,
) -> Reply:
    """Counts a file in the cells of a layout.

    Args:
        path: The file.
        columns: The layout's columns.
        edge_counts: How many of ``edges`` belong to each column.
        edges: All edges one after the other.
        reading: The layout's reading.
        source: Digest of the file; with the seed it draws the rows that are kept.
        seed: See ``source``.

    Returns:
        Array ``sketch`` (bytes) uint8; or ``values["problem"]``.
    """
    ends = np.cumsum(edge_counts)
    layout = Layout(
        tuple(Column.model_validate(column) for column in columns),
        tuple(edges[end - n : end] for end, n in zip(ends, edge_counts, strict=True)),
        Reading.model_validate(reading),
    )
    try:
        sketch = sketch_of(Path(path), layout, source=source, seed=seed)
    except Undecodable as reason:
        return Reply({}, {"problem": str(reason)})
    except Exception as error:  # noqa: BLE001 - parsers of hostile files raise anything
        return Reply({}, {"problem": f"{type(error).__name__}: {shown(str(error).strip())}"})
    return Reply({"sketch": np.frombuffer(dumped(sketch), dtype=np.uint8)}, {"problem": ""})


def sketch_of(path: Path, layout: Layout, *, source: str, seed: int) -> Sketch:
    """Counts a file, without the sandbox around it. Raises what the parsers raise."""
    notes: list[str] = []
    counter = Counting(layout, source=source, seed=seed)
    for batch in read_batches(path, notes):
        counter.add(batch)
    return counter.sketch._replace(notes=tuple(sorted({*notes, *counter.notes})))


class Counting:
    """Adds batches to a sketch."""

    def __init__(self, layout: Layout, *, source: str, seed: int) -> None:
        self.sketch = empty(layout)._replace(sources=(source,))
        self.notes: set[str] = set()
        self._cells = [
            {name: at for at, name in enumerate(column.categories)} for column in layout.columns
        ]
        # Every file draws on its own, whatever worker reads it, and never as another file does.
        self._rng = np.random.default_rng([seed, zlib.crc32(source.encode())])

    def add(self, batch: Batch) -> None:
        """Counts one batch."""
        layout, rows = self.sketch.layout, _length(batch)
        outcomes = derived(layout.reading, batch)
        batch = batch | outcomes.columns
        if strange := sorted(set(batch) - {column.name for column in layout.columns}):
            self.notes.add(f"columns that the reference lacks: {', '.join(strange[:10])}")
        draws = self._rng.random(rows)
        keep = (
            np.sort(np.argpartition(draws, KEPT_ROWS)[:KEPT_ROWS])
            if rows > KEPT_ROWS
            else np.arange(rows)
        )
        if len(self.sketch.draws) == KEPT_ROWS:
            keep = keep[draws[keep] < self.sketch.draws[-1]]
        kept = np.full((len(keep), len(layout.columns)), np.nan, dtype=np.float32)
        counts = []
        for at, column in enumerate(layout.columns):
            values = batch.get(column.name)
            if values is None:
                if column.role in {"feature", "prediction"}:
                    self.notes.add(f"column {column.name} is missing")
                counts.append(_all_missing(layout.cells(at), rows))
            elif column.kind == "number":
                numbers = self._numbers(column.name, values)
                counts.append(_in_cells(numbers, layout.edges[at]))
                kept[:, at] = numbers[keep]
            else:
                cells = self._placed(at, values)
                counts.append(np.bincount(cells, minlength=layout.cells(at)))
                kept[:, at] = cells[keep]
        found = Sketch(layout, rows, tuple(counts), kept, draws[keep], *outcomes[1:])
        self.sketch = merged(self.sketch, found)

    def _numbers(self, name: str, values: Values) -> Floats:
        if isinstance(values, Coded):
            values = as_numbers(values)
        if isinstance(values, Coded):
            self.notes.add(f"column {name} holds text where the reference holds numbers")
            return np.full(len(values.codes), np.nan)
        return values

    def _placed(self, at: int, values: Values) -> Counts:
        names = values if isinstance(values, Coded) else coded(values, code_name)
        known = self._cells[at]
        first = len(known)
        cells = [
            known[name]
            if name in known
            else first + zlib.crc32(name.encode("utf-8", "replace")) % HASHED
            for name in names.names
        ]
        placed: Counts = np.array([*cells, first + HASHED], dtype=np.int64)[names.codes]
        return placed


class _Sample:
    """Rows at even distances of a stream whose length nobody knows."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._step = 1
        self._seen = 0
        self._parts: list[Batch] = []
        self._kept = 0

    def add(self, batch: Batch) -> None:
        rows = _length(batch)
        # However wide the table is, the sample stays small.
        self._most = min(self._most, max(1, MOST_SAMPLED_VALUES // max(1, len(batch))))
        first = -self._seen % self._step
        self._seen += rows
        self._parts.append(_every(batch, first, self._step))
        self._kept += _length(self._parts[-1])
        while self._kept > 2 * self._most:
            self._thin()

    def _thin(self) -> None:
        at = 0
        for index, part in enumerate(self._parts):
            rows = _length(part)
            self._parts[index] = _every(part, at % 2, 2)
            at += rows
        self._step *= 2
        self._kept = sum(_length(part) for part in self._parts)

    def told(self) -> tuple[Floats, list[dict[str, Any]]]:
        if not self._kept:
            raise Undecodable("it has no rows")
        names = [name for part in self._parts for name in part]
        columns, told = [], []
        for name in dict.fromkeys(names):
            column, called = _joined([part[name] for part in self._parts if name in part])
            if len(column) == self._kept:
                columns.append(column)
                told.append({"name": name, "names": called})
        return np.column_stack(columns), told


def _joined(parts: list[Values]) -> tuple[Floats, list[str] | None]:
    if not any(isinstance(part, Coded) for part in parts):
        return np.concatenate([part for part in parts if not isinstance(part, Coded)]), None
    named = [part if isinstance(part, Coded) else coded(part, code_name) for part in parts]
    seen: Counter[str] = Counter()
    for part in named:
        counts = np.bincount(part.codes[part.codes >= 0], minlength=len(part.names))
        seen.update(dict(zip(part.names, counts.tolist(), strict=True)))
    common = [name for name, _ in sorted(seen.items(), key=lambda one: (-one[1], one[0]))]
    place = {name: at for at, name in enumerate(common[:MOST_NAMES])}
    # What is beyond the known names shares one more place, so that it is not taken for missing.
    moved = [
        np.array([place.get(name, MOST_NAMES) for name in part.names] + [np.nan])[part.codes]
        for part in named
    ]
    return np.concatenate(moved), common[:MOST_NAMES]


def _every(batch: Batch, first: int, step: int) -> Batch:
    return {
        name: Coded(values.codes[first::step], values.names)
        if isinstance(values, Coded)
        else values[first::step].copy()
        for name, values in batch.items()
    }


def _length(batch: Batch) -> int:
    if not batch:
        return 0
    values = next(iter(batch.values()))
    return len(values.codes) if isinstance(values, Coded) else len(values)


def _in_cells(numbers: Floats, edges: Floats) -> Counts:
    # NumPy sorts a batch with vector instructions in half a millisecond and puts NaN last; looking
    # up a few edges in order then costs far less than looking up every value in the edges.
    ordered = np.sort(numbers)
    known = len(ordered) - int(np.isnan(ordered).sum())
    below = np.searchsorted(ordered[:known], edges, side="right")
    ends = np.concatenate([[0], below, [known]])
    return np.append(np.diff(ends), len(ordered) - known)


def _all_missing(cells: int, rows: int) -> Counts:
    counts = np.zeros(cells, dtype=np.int64)
    counts[-1] = rows
    return counts
