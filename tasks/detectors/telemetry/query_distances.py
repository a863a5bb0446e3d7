"""Would somebody who watches the distances between one client's queries see the theft?

Distances from each query to the nearest earlier one of the same answer are about normal when a
client asks about natural inputs, and are not when inputs are made by a rule. Source: PRADA (Juuti
et al. 2019, arXiv 1805.02628), section 5. It is blind to thieves who ask about natural inputs
(Atli et al. 2020, arXiv 1910.05429), and to one that splits its queries over accounts.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tasks.sandbox.protocol import Array

THRESHOLD = 0.95
"""Shapiro-Wilk statistic below which a client is reported (the paper's, for image models)."""
FEWEST = 100
"""Distances before the monitor says anything."""
LOOK_EVERY = 50
WATCHED = 2000
"""Queries that are watched: the cost is their square, and a rule shows itself before."""
_OUTLIER = 3.0


def seen_by_distances(queries: Array, labels: NDArray[np.int64]) -> dict[str, Any]:
    """Watches one client's queries in order.

    Args:
        queries: (n, …) inputs as asked.
        labels: (n,) classes answered.

    Returns:
        JSON values: ``alarm_at``, the query at which the monitor reports, None if never;
        ``lowest``, the lowest statistic, None when there were too few distances.
    """
    rows = queries[:WATCHED].reshape(min(WATCHED, len(queries)), math.prod(queries.shape[1:]))
    distances, moments = _growth(rows, labels[:WATCHED])
    alarm, lowest = None, None
    for end in _looks(len(distances)):
        statistic = normality(distances[:end])
        lowest = statistic if lowest is None else min(lowest, statistic)
        if alarm is None and statistic < THRESHOLD:
            alarm = int(moments[end - 1]) + 1
    return {"alarm_at": alarm, "lowest": None if lowest is None else round(lowest, 4)}


def normality(distances: NDArray[np.float64]) -> float:
    """Returns the Shapiro-Wilk statistic without outliers: 1 is normal, lower is not."""
    spread = distances.std()
    if spread == 0:
        return 0.0  # one distance for all: nobody asks like that by chance
    kept = distances[np.abs(distances - distances.mean()) <= _OUTLIER * spread]
    return float(stats.shapiro(kept[:5000]).statistic)


def _looks(count: int) -> Iterator[int]:
    if count >= FEWEST:
        yield from range(FEWEST, count, LOOK_EVERY)
        yield count


def _growth(
    rows: Array, labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Returns the distance of each query to the nearest member of its class's growing set.

    A query joins its set when it is further away than the set's mean distance less its deviation,
    so that the sets grow slower than the log (section 5.2).
    """
    found, moments = [], []
    members: dict[int, list[int]] = {}
    kept: dict[int, list[float]] = {}
    for moment, label in enumerate(labels.tolist()):
        mine, own = members.setdefault(label, []), kept.setdefault(label, [])
        if mine:
            distance = float(np.sqrt(((rows[mine] - rows[moment]) ** 2).sum(axis=1).min()))
            found.append(distance)
            moments.append(moment)
            if own and distance <= np.mean(own) - np.std(own):
                continue
            own.append(distance)
        mine.append(moment)
    return np.array(found), np.array(moments, np.int64)
