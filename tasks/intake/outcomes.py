"""What a model's outputs say, and whether they were right: columns derived from each batch."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.detectors.drift.layouts import code_name, is_code
from tasks.detectors.drift.sketch import CONFIDENCE_CELLS, Reading
from tasks.intake.decoding import Undecodable
from tasks.intake.table_batches import Batch, Coded, Values, coded
from tasks.statistics.intervals import Floats
from tasks.statistics.two_sample import Counts

CONFIDENCE, CLASS, ERROR = "model: confidence", "model: class", "model: absolute error"
Kind = Literal["none", "scores", "probability", "class", "value"]


class Outcomes(NamedTuple):
    """Derived columns, and rows by confidence: all, with a label, and answered rightly."""

    columns: Batch
    right: Counts
    answered: Counts
    shown: Counts


def kind_of(predictions: tuple[str, ...], batch: Batch) -> Kind:
    """Tells from a sample what the outputs are: scores, a probability, a class or a value."""
    if not predictions:
        return "none"
    columns = [batch[name] for name in predictions]
    if any(isinstance(column, Coded) for column in columns):
        if len(columns) > 1:
            raise Undecodable("several prediction columns must be numbers: one score a class")
        return "class"
    if len(columns) > 1:
        return "scores"
    [values] = columns
    assert not isinstance(values, Coded)
    known = values[np.isfinite(values)]
    if is_code(values):
        return "class"
    inside = len(known) > 0 and bool(((known >= 0) & (known <= 1)).all())
    return "probability" if inside else "value"


def class_names(labels: Values | None, count: int) -> tuple[str, ...]:
    """Returns the name of the class behind each score, as the labels spell it.

    Raises:
        Undecodable: The labels do not fit to so many scores.
    """
    numbered = tuple(str(index) for index in range(count))
    if labels is None:
        return numbered
    names = set(_named(labels).names)
    if names <= set(numbered):
        return numbered
    if len(names) == count:
        return tuple(sorted(names))
    raise Undecodable(f"there are {count} scores a row, but the labels have {len(names)} values")


def derived(reading: Reading, batch: Batch) -> Outcomes:
    """Returns what follows from the outputs of one batch, and from its labels."""
    if reading.kind == "none":
        return _outcomes({})
    labels = batch.get(reading.labels) if reading.labels else None
    if reading.kind == "value":
        return _of_values(reading, batch, labels)
    guess, confidence = _guessed(reading, batch)
    columns: Batch = {CLASS: guess}
    if confidence is not None:
        columns[CONFIDENCE] = confidence
    cells = _cells(confidence if confidence is not None else np.ones(len(guess.codes)))
    given = guess.codes >= 0
    if labels is None:
        return _outcomes(columns, shown=cells[given])
    truth = _named(labels)
    known = (truth.codes >= 0) & given
    hit = _same(guess, truth) & known
    return _outcomes(columns, shown=cells[given], answered=cells[known], right=cells[hit])


def _of_values(reading: Reading, batch: Batch, labels: Values | None) -> Outcomes:
    values = batch[reading.predictions[0]]
    if labels is None or isinstance(labels, Coded) or isinstance(values, Coded):
        return _outcomes({})
    error = np.abs(values - labels)
    last = np.full(len(error), CONFIDENCE_CELLS - 1)
    known, right = np.isfinite(error), error <= reading.tolerance
    return _outcomes(
        {ERROR: error}, shown=last[np.isfinite(values)], answered=last[known], right=last[right]
    )


def _outcomes(columns: Batch, **cells: NDArray[np.int64]) -> Outcomes:
    counts = {
        name: np.bincount(cells.get(name, np.zeros(0, np.int64)), minlength=CONFIDENCE_CELLS)
        for name in ("right", "answered", "shown")
    }
    return Outcomes(columns, **counts)


def _guessed(reading: Reading, batch: Batch) -> tuple[Coded, Floats | None]:
    columns = [batch[name] for name in reading.predictions]
    if reading.kind == "class":
        return _named(columns[0]), None
    numbers = [column for column in columns if not isinstance(column, Coded)]
    if len(numbers) != len(columns):
        raise Undecodable("predictions are numbers in the reference and text here")
    scores = np.column_stack(numbers)
    if reading.kind == "probability":
        scores = np.column_stack([1 - scores[:, 0], scores[:, 0]])
    elif not bool((np.abs(scores.sum(axis=1) - 1) < 1e-3).all() and (scores >= 0).all()):
        shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores = shifted / shifted.sum(axis=1, keepdims=True)
    broken = np.isnan(scores).any(axis=1)
    best = np.where(broken, -1, np.nan_to_num(scores).argmax(axis=1))
    confidence = np.where(broken, np.nan, scores.max(axis=1))
    return Coded(best.astype(np.int64), list(reading.classes)), confidence


def _named(values: Values) -> Coded:
    return values if isinstance(values, Coded) else coded(values, code_name)


def _same(first: Coded, second: Coded) -> NDArray[np.bool_]:
    """Marks rows where both have the same name."""
    place = {name: index for index, name in enumerate(first.names)}
    moved = np.array([place.get(name, -2) for name in second.names] + [-3], dtype=np.int64)
    same: NDArray[np.bool_] = first.codes == moved[second.codes]
    return same


def _cells(confidence: Floats) -> NDArray[np.int64]:
    whole = np.nan_to_num(confidence) * CONFIDENCE_CELLS
    cells: NDArray[np.int64] = np.clip(whole.astype(np.int64), 0, CONFIDENCE_CELLS - 1)
    return cells
