"""What a model's outputs say, and whether they were right: columns derived from each batch."""

from typing import Literal

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


def derived(reading: Reading, batch: Batch) -> tuple[Batch, Counts, Counts]:
    """Returns derived columns, and rows by confidence: answered rightly, and with a label."""
    right, answered = (np.zeros(CONFIDENCE_CELLS, dtype=np.int64) for _ in range(2))
    if reading.kind == "none":
        return {}, right, answered
    labels = batch.get(reading.labels) if reading.labels else None
    columns: Batch
    if reading.kind == "value":
        return _of_values(reading, batch, labels)
    guess, confidence = _guessed(reading, batch)
    columns = {CLASS: guess}
    if confidence is not None:
        columns[CONFIDENCE] = confidence
    if labels is not None:
        truth = _named(labels)
        known = (truth.codes >= 0) & (guess.codes >= 0)
        hit = _same(guess, truth) & known
        cells = _cells(confidence if confidence is not None else np.ones(len(hit)))
        right += np.bincount(cells[hit], minlength=CONFIDENCE_CELLS)
        answered += np.bincount(cells[known], minlength=CONFIDENCE_CELLS)
    return columns, right, answered


def _of_values(
    reading: Reading, batch: Batch, labels: Values | None
) -> tuple[Batch, Counts, Counts]:
    right, answered = (np.zeros(CONFIDENCE_CELLS, dtype=np.int64) for _ in range(2))
    values = batch[reading.predictions[0]]
    if labels is None or isinstance(labels, Coded) or isinstance(values, Coded):
        return {}, right, answered
    error = np.abs(values - labels)
    answered[-1] = int(np.isfinite(error).sum())
    right[-1] = int((error <= reading.tolerance).sum())
    return {ERROR: error}, right, answered


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
    elif not bool((np.abs(scores.sum(axis=1) - 1) < 1e-3).all()):
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
