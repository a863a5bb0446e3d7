"""The trusted side of comparing tables: asks children to read, believes nothing, keeps sketches.

The data themselves are not kept: what becomes evidence are counts, the digests of the files, and
at most 2,000 rows of numbers.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks.detectors.drift.layouts import (
    category_column,
    code_name,
    is_code,
    number_column,
)
from tasks.detectors.drift.sketch import Column, Layout, Reading, Role, Sketch, loaded
from tasks.domain.digest import Digest, digest_of_file
from tasks.domain.errors import ChildError, InvalidInputError
from tasks.domain.frozen import Frozen
from tasks.intake.decoding import Undecodable
from tasks.intake.names import shown
from tasks.intake.outcomes import (
    CLASS,
    CONFIDENCE,
    ERROR,
    class_names,
    derived,
    kind_of,
)
from tasks.intake.table_batches import Batch, Coded, coded
from tasks.sandbox.protocol import Limits, Reply, Sandbox
from tasks.statistics.intervals import Floats

SURVEYED_FILES = 32
MOST_COMPARED = 2000
RIGHT_SHARE = 0.9
"""Share of the reference whose error is still called right, where answers are numbers."""
SUFFIXES = frozenset({".parquet", ".csv", ".tsv", ".npz", ".safetensors"})


class Roles(Frozen):
    """Which columns are what; all others are features."""

    labels: str | None = None
    predictions: tuple[str, ...] = ()


def partitions(path: Path) -> tuple[Path, ...]:
    """Returns the data files of a path, sorted.

    Raises:
        InvalidInputError: There is none, or something is no plain file.
    """
    if not path.exists():
        raise InvalidInputError(f"{path} does not exist. Give a data file, or a folder of them.")
    found = [path]
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not found:
        raise InvalidInputError(
            f"{path} holds no data file. Read are {', '.join(sorted(SUFFIXES))}."
        )
    if odd := [file for file in found if file.is_symlink() or not file.is_file()]:
        raise InvalidInputError(f"{odd[0]} is no plain file. Give the file itself.")
    return tuple(found)


def survey(path: Path, sandbox: Sandbox, *, project: bool = True) -> tuple[Batch, tuple[str, ...]]:
    """Has a child read a file once; returns rows of it at even distances, and notes.

    Raises:
        InvalidInputError: The file cannot be read; the message says why.
    """
    reply = _asked(path, sandbox, "intake.sketching.survey_table", project=project)
    rows = reply.arrays.get("rows")
    columns = reply.values.get("columns")
    if rows is None or not isinstance(columns, list) or rows.shape[1:] != (len(columns),):
        raise InvalidInputError(f"{shown(str(path))}: the reader gave no rows.")
    batch: Batch = {}
    for at, column in enumerate(columns):
        values = rows[:, at].astype(np.float64)
        names = column.get("names")
        batch[str(column["name"])] = values if names is None else _coded(values, names)
    return batch, tuple(str(note) for note in reply.values.get("notes", []))


def plan(surveys: Sequence[Batch], roles: Roles) -> Layout:
    """Makes the cells from samples of the reference.

    Raises:
        InvalidInputError: A named column is not there, or the outputs cannot be read.
    """
    batch = _together(surveys)
    if len(batch) > MOST_COMPARED:
        raise InvalidInputError(
            f"The reference has {len(batch)} columns, {MOST_COMPARED} are compared. Hand in those "
            "that matter, or an array, which is looked at through projections."
        )
    wanted = [name for name in (roles.labels, *roles.predictions) if name]
    if missing := [name for name in wanted if name not in batch]:
        there = ", ".join(shown(name, 40) for name in list(batch)[:20])
        raise InvalidInputError(f"The reference has no column {missing[0]!r}; it has {there}.")
    try:
        reading = _reading(batch, roles)
        more = derived(reading, batch).columns
    except Undecodable as reason:
        raise InvalidInputError(f"The predictions cannot be read: {reason}.") from reason
    described = [_described(name, _role(name, roles), values) for name, values in batch.items()]
    described += [_described(name, "derived", values) for name, values in more.items()]
    return Layout(tuple(c for c, _ in described), tuple(e for _, e in described), reading)


def count(path: Path, layout: Layout, sandbox: Sandbox, *, seed: int) -> Sketch:
    """Has a child count a file in the cells of a layout.

    Raises:
        InvalidInputError: The file cannot be read, or its reader answered with no sketch.
    """
    source = digest_of_file(path)
    reply = _asked(
        path,
        sandbox,
        "intake.sketching.count_table",
        {"edges": np.concatenate([*layout.edges, np.zeros(0)])},
        columns=[column.model_dump(mode="json") for column in layout.columns],
        edge_counts=[len(edges) for edges in layout.edges],
        reading=layout.reading.model_dump(mode="json"),
        source=source,
        seed=seed,
    )
    try:
        sketch = loaded(reply.arrays["sketch"].astype(np.uint8).tobytes())
    except (KeyError, ValueError) as error:
        raise InvalidInputError(f"{shown(str(path))}: the reader gave no sketch.") from error
    if problem := _disbelief(sketch, layout, source):
        raise InvalidInputError(f"{shown(str(path))}: the reader's sketch {problem}.")
    return sketch


def _asked(
    path: Path,
    sandbox: Sandbox,
    procedure: str,
    arrays: dict[str, Floats] | None = None,
    **values: Any,
) -> Reply:
    place = path.resolve()
    try:
        with sandbox.session((place,), Limits()) as session:
            reply = session.call(procedure, arrays, path=str(place), **values)
    except ChildError as error:
        words = shown(error.message)
        raise InvalidInputError(
            f"{shown(str(path))} cannot be read ({error.code}): {words}"
        ) from error
    if problem := str(reply.values.get("problem", "")):
        raise InvalidInputError(f"{shown(str(path))} cannot be read: {shown(problem)}")
    return reply


def _disbelief(sketch: Sketch, layout: Layout, source: Digest) -> str:
    """Holds a child's sketch against what any honest one keeps; empty when it does."""
    if sketch.layout.digest != layout.digest:
        return "has other cells than were asked for"
    if sketch.sources != (source,):
        return "is of another file"
    if any(int(counts.min(initial=0)) < 0 for counts in (*sketch.counts, sketch.right)):
        return "has negative counts"
    if any(int(counts.sum()) != sketch.rows for counts in sketch.counts):
        return "does not count every row once"
    ladder = (sketch.right, sketch.answered, sketch.shown)
    if any(bool((a > b).any()) for a, b in itertools.pairwise(ladder)) or (
        int(sketch.shown.sum()) > sketch.rows
    ):
        return "has more right answers than rows"
    return ""


def _reading(batch: Batch, roles: Roles) -> Reading:
    kind = kind_of(roles.predictions, batch)
    labels = batch.get(roles.labels) if roles.labels else None
    reading = Reading(labels=roles.labels, predictions=roles.predictions, kind=kind)
    if kind in {"scores", "probability"}:
        count_ = max(2, len(roles.predictions))
        return reading.model_copy(update={"classes": class_names(labels, count_)})
    if kind == "value" and labels is not None:
        error = derived(reading, batch).columns.get(ERROR)
        if error is None or isinstance(error, Coded):
            raise Undecodable("predictions are numbers, and the labels are not")
        tolerance = float(np.nanquantile(error, RIGHT_SHARE))
        return reading.model_copy(update={"tolerance": tolerance})
    return reading


def _role(name: str, roles: Roles) -> Role:
    if name == roles.labels:
        return "label"
    return "prediction" if name in roles.predictions else "feature"


def _described(name: str, role: Role, values: Floats | Coded) -> tuple[Column, Floats]:
    if not isinstance(values, Coded):
        if not is_code(values) or name in {CONFIDENCE, ERROR}:
            return number_column(name, role, values)
        values = coded(values, code_name)
    counts = np.bincount(values.codes[values.codes >= 0], minlength=len(values.names))
    names = dict(zip(values.names, counts.tolist(), strict=True))
    if name == CLASS:
        # A class that the sample never predicts is still a class.
        names = {one: times + 1 for one, times in names.items()}
    return category_column(name, role, names)


def _coded(values: Floats, names: list[str]) -> Coded:
    known = np.where(np.isnan(values), -1, values).astype(np.int64)
    # The place past the names stands for all rare ones, which get no cell of their own.
    return Coded(np.where(known >= len(names), -1, known), [str(name) for name in names])


def _together(surveys: Sequence[Batch]) -> Batch:
    """Joins the samples of several files; columns that are not in all are left out."""
    if len(surveys) == 1:
        return surveys[0]
    joined: Batch = {}
    for name in surveys[0]:
        parts = [one[name] for one in surveys if name in one]
        if len(parts) < len(surveys):
            continue
        if not any(isinstance(part, Coded) for part in parts):
            joined[name] = np.concatenate([p for p in parts if not isinstance(p, Coded)])
            continue
        named = [p if isinstance(p, Coded) else coded(p, code_name) for p in parts]
        every = sorted({one for part in named for one in part.names})
        place = {one: at for at, one in enumerate(every)}
        codes = [np.array([place[n] for n in p.names] + [-1])[p.codes] for p in named]
        joined[name] = Coded(np.concatenate(codes).astype(np.int64), every)
    return joined
