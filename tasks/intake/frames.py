"""From a batch of a table to the frame that expectations look at. Runs in the sandbox child.

Great Expectations answers by row only what one column, or two, show. Whatever needs more (what sort
of value it is, whether it follows from another) becomes a column of its own; its own expectation
for pairs of values goes through a table row by row, and took 90 s for 65,536 rows.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.detectors.data.suites import fixed_by, kind_of, name_of
from tasks.detectors.drift.layouts import code_name
from tasks.domain.reference import ColumnProfile, Dependency, ReferenceProfile
from tasks.intake.table_batches import Batch, Coded, Values, coded
from tasks.statistics.intervals import Floats

WHOLE, NUMBER, TEXT = 0, 1, 2
KINDS = ("whole", "number", "text")
Codes = NDArray[np.int64]


def frame_of(batch: Batch, profile: ReferenceProfile, *, offset: int) -> Any:
    """Returns a pandas frame of the columns that the profile knows; rows are numbered from offset.

    Columns that the batch lacks are left out.
    """
    import pandas as pd  # noqa: PLC0415 - half a second, only children pay for it

    columns: dict[str, Any] = {}
    rows = 0
    for column in profile.columns:
        if (values := batch.get(column.name)) is not None:
            columns |= _columns(column, values)
            rows = len(values.codes) if isinstance(values, Coded) else len(values)
    for one in profile.dependencies:
        if one.column in batch and one.determines in batch:
            columns[fixed_by(one.column, one.determines)] = _fixed(one, batch)
    return pd.DataFrame(columns, index=pd.RangeIndex(offset, offset + rows))


def _columns(column: ColumnProfile, values: Values) -> dict[str, Any]:
    """Returns the column itself, what kind its values are, and the same as names."""
    numbers, kinds = _numbers(values)
    kind = _categories(kinds, KINDS)
    texts = None
    if column.kind != "text":
        found: dict[str, Any] = {column.name: numbers}
    elif column.names is None and not column.unique:
        # Nothing is asked of free text but to be there, and each question copies the frame.
        found = {column.name: kind}
    else:
        texts = _texts(values if isinstance(values, Coded) else coded(values, code_name))
        found = {column.name: texts}
    found[kind_of(column.name)] = kind
    if column.names is not None:
        found[name_of(column.name)] = _texts(as_names(values)) if texts is None else texts
    return found


def as_names(values: Values) -> Coded:
    """Returns values as names; numbers that are written as text are called like the numbers."""
    if not isinstance(values, Coded):
        return coded(values, code_name)
    plain = [_plain_name(name) for name in values.names]
    return Coded(values.codes, plain)


def _plain_name(name: str) -> str:
    number = _number(name)
    return name if np.isnan(number) else code_name(number)


def _numbers(values: Values) -> tuple[Floats, Codes]:
    """Returns numbers (NaN for texts and missing values), and what kind each value is, or -1."""
    if isinstance(values, Coded):
        by_name = np.array([*map(_number, values.names), np.nan])
        numbers = by_name[values.codes]
        missing = values.codes < 0
    else:
        numbers, missing = values, np.isnan(values)
    whole = np.isfinite(numbers) & (numbers == np.floor(numbers))
    kinds = np.where(whole, WHOLE, np.where(np.isnan(numbers), TEXT, NUMBER))
    return numbers, np.where(missing, -1, kinds)


def _number(name: str) -> float:
    try:
        return float(name)
    except ValueError:
        return float("nan")


def _fixed(one: Dependency, batch: Batch) -> Any:
    """Says for each row whether the second value is the one that the first fixes.

    Values that the reference did not know say nothing here: their columns say it.
    """
    first, second = as_names(batch[one.column]), as_names(batch[one.determines])
    known = set(one.fixes.values())
    wanted = [one.fixes.get(name) for name in first.names]
    places = {name: at for at, name in enumerate(sorted(known))}
    asked = np.array([places.get(name, -1) if name else -1 for name in [*wanted, None]])
    given = np.array([*(places.get(name, -1) for name in second.names), -1])
    left, right = asked[first.codes], given[second.codes]
    kept = np.where((left < 0) | (right < 0), -1, left != right)
    return _categories(kept.astype(np.int64), ("kept", "broken"))


def _texts(names: Coded) -> Any:
    table = np.array([*names.names, None], dtype=object)
    return table[names.codes]


def _categories(codes: Any, names: tuple[str, ...]) -> Any:
    import pandas as pd  # noqa: PLC0415 - as above

    return pd.Categorical.from_codes(codes, categories=pd.Index(names))
