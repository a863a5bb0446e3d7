"""Who gave which label: a table of annotations (CSV with columns row, labeler, label).

Read as text on the trusted side, with caps; names of labelers and labels become numbers.
"""

import csv
import io
from typing import NamedTuple

import numpy as np

from tasks.domain.errors import InvalidInputError
from tasks.intake.names import shown
from tasks.statistics.agreement import Numbers

MOST_BYTES = 64 << 20
MOST_NAMES, MOST_CLASSES, LONGEST = 10_000, 1000, 200
COLUMNS = ("row", "labeler", "label")


class Annotations(NamedTuple):
    """Equally long arrays of numbers, and what the numbers stand for."""

    items: Numbers
    """Places in ``rows``."""
    labelers: Numbers
    labels: Numbers
    rows: Numbers
    """Rows of the dataset, as the table names them."""
    names: tuple[str, ...]
    classes: tuple[str, ...]


def read_annotations(data: bytes, *, place: str) -> Annotations:
    """Reads a table of annotations.

    Raises:
        InvalidInputError: It is none; the message says where and how to mend it.
    """
    if len(data) > MOST_BYTES:
        raise InvalidInputError(f"{place} has {len(data)} bytes, {MOST_BYTES} are allowed.")
    try:
        table = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        head = [name.strip().lower() for name in next(table, [])]
        missing = [name for name in COLUMNS if name not in head]
        if missing:
            raise InvalidInputError(f"{place} has no column {', '.join(missing)}; name it so.")
        places = [head.index(name) for name in COLUMNS]
        cells = [
            tuple(line[at].strip()[:LONGEST] for at in places)
            for line in table
            if len(line) > max(places)
        ]
        rows = np.array([int(row) for row, _, _ in cells], np.int64)
    except (UnicodeDecodeError, csv.Error, ValueError, OverflowError) as error:
        raise InvalidInputError(f"{place} cannot be read: {shown(str(error), 200)}.") from error
    if not len(rows) or rows.min() < 0:
        raise InvalidInputError(f"{place} names no rows, or rows below 0.")
    known, items = np.unique(rows, return_inverse=True)
    names, labelers = np.unique([who for _, who, _ in cells], return_inverse=True)
    classes, labels = np.unique([label for _, _, label in cells], return_inverse=True)
    if len(names) > MOST_NAMES or len(classes) > MOST_CLASSES:
        raise InvalidInputError(
            f"{place} has {len(names)} labelers and {len(classes)} labels; {MOST_NAMES} and "
            f"{MOST_CLASSES} are allowed."
        )
    return Annotations(
        items.astype(np.int64),
        labelers.astype(np.int64),
        labels.astype(np.int64),
        known,
        tuple(shown(str(name), 80) for name in names),
        tuple(shown(str(name), 80) for name in classes),
    )
