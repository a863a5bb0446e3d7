"""Runs in the sandbox child: a part of a table against the profile of a trusted version.

A part is read batch by batch, so memory grows neither with the file nor with the part, but for nine
bytes a row of columns that must not repeat. What comes back are counts, which simply add up.
"""

from pathlib import Path
from typing import Any

import numpy as np

from tasks.detectors.data.expectations import offending, version
from tasks.detectors.data.suites import FIRST, Expected, expected_of
from tasks.domain.reference import ReferenceProfile
from tasks.intake.decoding import Undecodable
from tasks.intake.frames import frame_of
from tasks.intake.names import shown
from tasks.intake.profiling import known_of, marks_of
from tasks.intake.table_batches import Batch, read_batches
from tasks.sandbox.protocol import Reply

ROWS_A_PART = 262_144


def table_parts(*, path: str) -> Reply:
    """Returns ``values["parts"]``: first and last row group and first row of each part.

    Only Parquet files have more than one.
    """
    with Path(path).open("rb") as stream:
        start = stream.read(4)
    if start != b"PAR1":
        return Reply({}, {"parts": [[0, 0, 0]]})
    import pyarrow.parquet as pq  # noqa: PLC0415 - half a second, only for tables

    try:
        with pq.ParquetFile(path) as file:
            rows = [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)]
    except Exception:  # noqa: BLE001 - reading it will tell why
        rows = []
    return Reply({}, {"parts": _grouped(rows)})


def _grouped(rows: list[int]) -> list[list[int]]:
    parts, first, offset = [], 0, 0
    for at in range(len(rows)):
        taken = sum(rows[first : at + 1])
        if taken >= ROWS_A_PART or at == len(rows) - 1:
            parts.append([first, at + 1, offset])
            first, offset = at + 1, offset + taken
    return parts or [[0, 0, 0]]


def hold_table(*, path: str, groups: list[int], offset: int, profile: dict[str, Any]) -> Reply:
    """Holds one part of a file against a profile.

    Args:
        path: The file.
        groups: First and last row group of the part (Parquet); equal ones mean all of the file.
        offset: Rows before the part.
        profile: A :class:`ReferenceProfile` as JSON values.

    Returns:
        ``values``: ``rows``, ``others`` (columns that the profile does not know), ``results``
        (``broken``, ``rows``, ``values`` and ``error`` of each expectation, in the order of
        ``expected_of``), ``version``; ``problem`` says why there is nothing else. Arrays
        ``marks.N`` (rows,) and ``known.N`` (rows,): 64 bits of each value of the Nth column that
        must not repeat.
    """
    promised = ReferenceProfile.model_validate(profile)
    part = _Part(promised, offset)
    notes: list[str] = []
    wanted = range(*groups) if groups[1] > groups[0] else None
    try:
        for batch in read_batches(Path(path), notes, groups=wanted):
            part.add(batch)
    except Undecodable as reason:
        return Reply({}, {"problem": str(reason)})
    except Exception as error:  # noqa: BLE001 - parsers of hostile files raise anything
        return Reply({}, {"problem": f"{type(error).__name__}: {shown(str(error).strip())}"})
    return Reply(part.arrays(), part.told() | {"problem": "", "notes": notes})


class _Part:
    """Adds up the batches of one part."""

    def __init__(self, profile: ReferenceProfile, offset: int) -> None:
        self._profile = profile
        self._suite = expected_of(profile)
        self._offset, self._rows = offset, 0
        self._results = [_nothing() for _ in self._suite]
        self._others: set[str] = set()
        self._unique = [column.name for column in profile.columns if column.unique]
        self._marks: dict[str, list[Any]] = {}

    def add(self, batch: Batch) -> None:
        frame = frame_of(batch, self._profile, offset=self._offset + self._rows)
        rows = len(known_of(next(iter(batch.values()))))
        self._others |= set(batch) - {column.name for column in self._profile.columns}
        for at, told in results_of(frame, self._suite, rows).items():
            _add(self._results[at], told)
        for at, name in enumerate(self._unique):
            if name in batch:
                self._marks.setdefault(f"marks.{at}", []).append(marks_of(batch[name]))
                self._marks.setdefault(f"known.{at}", []).append(known_of(batch[name]))
        self._rows += rows

    def arrays(self) -> dict[str, Any]:
        return {name: np.concatenate(parts) for name, parts in self._marks.items()}

    def told(self) -> dict[str, Any]:
        return {
            "rows": self._rows,
            "others": sorted(self._others)[:100],
            "results": self._results,
            "version": version(),
        }


def results_of(frame: Any, suite: tuple[Expected, ...], rows: int) -> dict[int, dict[str, Any]]:
    """Returns results by place in the suite; what lacks its column is told by ``exists`` alone."""
    there = set(frame.columns)
    asked = {
        at: {"rule": str(at), "expectation": one.expectation, "settings": _settings(one)}
        for at, one in enumerate(suite)
        if one.expectation == "exists" or _frame_columns(one) <= there
    }
    if not there:  # none of the columns is there, and a frame without columns has no rows either
        return {
            at: _nothing() | {"broken": rows}
            for at, one in enumerate(suite)
            if one.kind == "column"
        }
    return dict(zip(asked, offending(frame, [*asked.values()], first=FIRST), strict=True))


def _settings(one: Expected) -> dict[str, Any]:
    if one.expectation != "not_above":
        return one.settings
    return one.settings | {"or_equal": True, "ignore_row_if": "either_value_is_missing"}


def _frame_columns(one: Expected) -> set[str]:
    return {
        str(one.settings[key]) for key in ("column", "column_A", "column_B") if key in one.settings
    }


def _nothing() -> dict[str, Any]:
    return {"broken": 0, "rows": [], "values": [], "error": ""}


def _add(total: dict[str, Any], told: dict[str, Any]) -> None:
    total["broken"] += told["broken"]
    for name in ("rows", "values"):
        total[name] = [*total[name], *told[name]][:FIRST]
    total["error"] = total["error"] or told["error"]
