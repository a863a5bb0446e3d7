"""From rows of telemetry to what one account asked, as the abuse monitors read it."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.detectors.telemetry.trail import Trail
from tasks.gateway.telemetry import read_telemetry
from tasks.store.protocol import ObjectStore

WEEK_SECONDS = 7 * 86400.0
MOST_RECALLED = 50_000
"""Rows that a starting gateway reads back: some seconds of work."""
Row = Mapping[str, Any]


def trail_of(rows: Sequence[Row]) -> Trail:
    """Returns answered items with features as a trail, in the order of the rows."""

    def column(name: str) -> list[Any]:
        return [row[name] for row in rows]

    return Trail(
        times=np.array(column("time"), float),
        features=np.array(column("features"), np.float32).reshape(len(rows), -1),
        hashes=np.array([int(text[:16], 16) for text in column("input_hash")], np.uint64),
        labels=np.array(column("label"), np.int64),
        margins=np.array(column("margin"), float),
        costs=np.array(column("cost_ms"), float),
    )


def is_watched(row: Row) -> bool:
    """Answers whether a row is an answered item of which features were kept."""
    return row.get("status") == 200 and row.get("features") is not None


def week_so_far(store: ObjectStore, name: str, now: float) -> list[Row]:
    """Returns this week's sealed rows that are watched, at most the latest ``MOST_RECALLED``."""
    began = now // WEEK_SECONDS * WEEK_SECONDS
    since = datetime.fromtimestamp(began, UTC).strftime("%Y-%m-%d")
    rows: deque[Row] = deque(maxlen=MOST_RECALLED)
    for table in read_telemetry(store, name, since=since):
        rows.extend(row for row in table.to_pylist() if is_watched(row))
    return sorted((row for row in rows if row["time"] >= began), key=lambda row: row["time"])


def account_weeks(tables: Iterable[pa.Table]) -> Iterator[tuple[str, int, Trail]]:
    """Yields account, week (since 1970) and trail from sealed telemetry."""
    rows: dict[tuple[str, int], list[Row]] = {}
    for table in tables:
        for row in table.to_pylist():
            if is_watched(row):
                week = int(row["time"] // WEEK_SECONDS)
                rows.setdefault((row["account"], week), []).append(row)
    for (account, week), each in rows.items():
        yield account, week, trail_of(sorted(each, key=lambda row: float(row["time"])))
