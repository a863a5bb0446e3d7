"""Many questions at once: which p-values still count, and p-values from calibration scores."""

import numpy as np
from numpy.typing import NDArray

from tasks.statistics.intervals import Floats


def holm(p_values: Floats, alpha: float = 0.05) -> NDArray[np.bool_]:
    """Marks what is significant when even one false alarm among all has chance ``alpha`` at most.

    Source: Holm 1979, Scandinavian Journal of Statistics 6, 65-70. Holds under any dependence.

    Raises:
        ValueError: A p-value or ``alpha`` is outside 0..1.
    """
    _values_fit(p_values, alpha)
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    small = p_values[order] <= alpha / (count - np.arange(count))
    return _marked(order, int(np.argmin(np.append(small, False))))


def benjamini_hochberg(p_values: Floats, alpha: float = 0.05) -> NDArray[np.bool_]:
    """Marks a set in which the expected share of false alarms is ``alpha`` at most.

    Source: Benjamini and Hochberg 1995, JRSS B 57, 289-300. Holds for independent and positively
    dependent p-values; conformal p-values from one calibration set are such (Bates et al. 2023).

    Raises:
        ValueError: A p-value or ``alpha`` is outside 0..1.
    """
    _values_fit(p_values, alpha)
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    small = np.flatnonzero(p_values[order] <= alpha * np.arange(1, count + 1) / count)
    return _marked(order, int(small[-1]) + 1 if len(small) else 0)


def conformal_p_values(scores: Floats, calibration: Floats) -> Floats:
    """Returns for each score the chance that a harmless item scores at least as high.

    Source: Vovk, Gammerman and Shafer 2005; Bates et al. 2023, Annals of Statistics 51, 149-178.
    Valid when the calibration items are exchangeable with the harmless ones; never below
    1 / (n + 1).

    Args:
        scores: Higher is stranger (items,).
        calibration: Scores of items known to be harmless (n,), at least one.

    Raises:
        ValueError: There is no calibration score, or a score is NaN.
    """
    if not len(calibration):
        raise ValueError("a p-value needs at least one calibration score")
    if np.isnan(scores).any() or np.isnan(calibration).any():
        raise ValueError("some scores are NaN, so they cannot be put in order")
    at_least = len(calibration) - np.searchsorted(np.sort(calibration), scores, side="left")
    values: Floats = (1 + at_least) / (len(calibration) + 1)
    return values


def tailed_p_values(scores: Floats, calibration: Floats, tail: float = 0.01) -> Floats:
    """Returns conformal p-values that go on falling beyond the largest calibration score.

    The highest ``tail`` of the calibration scores is replaced by an exponential tail with their
    mean excess (Pickands 1975; exponential domain of attraction), because n calibration items
    alone show no p-value below 1 / (n + 1), which leaves a correction for many items without
    power. It is a guess about a tail: run a clean control beside it.

    Raises:
        ValueError: There is no calibration score, or a score is NaN.
    """
    ranked = conformal_p_values(scores, calibration)
    edge = float(np.quantile(calibration, 1 - tail))
    beyond = calibration[calibration > edge]
    reach = max(float((beyond - edge).mean()) if len(beyond) else 0.0, 1e-9)
    falling: Floats = tail * np.exp(-np.maximum(scores - edge, 0) / reach)
    return np.where(scores > edge, np.minimum(ranked, falling), ranked)


def _marked(order: NDArray[np.intp], count: int) -> NDArray[np.bool_]:
    marked = np.zeros(len(order), dtype=np.bool_)
    marked[order[:count]] = True
    return marked


def _values_fit(p_values: Floats, alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}, it must lie between 0 and 1")
    if not bool(np.all((p_values >= 0) & (p_values <= 1))):
        raise ValueError("some p-values are outside 0..1")
