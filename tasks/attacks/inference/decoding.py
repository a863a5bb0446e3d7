"""From embeddings back to records, by regression on records that the attacker has himself.

Source: Dosovitskiy and Brox 2016, arXiv 1506.02753 (inverting representations with a learnt
decoder); here the decoder is kernel ridge regression, which needs few records.
"""

import numpy as np

from tasks.statistics.intervals import Floats

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
WIDTHS = (0.0, 1.0, 3.0)
"""Of the Gaussian kernel, in mean distances; 0 stands for the linear kernel."""


def decoded(known: Floats, records: Floats, asked: Floats) -> Floats:
    """Returns the records that ``asked`` embeddings seem to come from (n, values).

    Kernel and penalty are those that predict a third of the known records best from the rest.

    Args:
        known: Embeddings of the attacker's own records (m, width), m at least 6.
        records: Those records, flat (m, values).
        asked: Embeddings to decode (n, width).
    """
    centre, spread = known.mean(axis=0), known.std(axis=0)
    used = spread > 1e-9
    known, asked = (
        ((part - centre)[:, used] / spread[used]).astype(np.float64) for part in (known, asked)
    )
    held = np.arange(len(known)) % 3 == 0
    tried = {
        (width, penalty): float(np.mean((guess - records[held]) ** 2))
        for width in WIDTHS
        for penalty, guess in zip(
            PENALTIES,
            _regressed(known[~held], records[~held], known[held], width, PENALTIES),
            strict=True,
        )
    }
    width, penalty = min(tried, key=lambda settings: tried[settings])
    (found,) = _regressed(known, records, asked, width, (penalty,))
    return found


def _regressed(
    known: Floats, records: Floats, asked: Floats, width: float, penalties: tuple[float, ...]
) -> list[Floats]:
    scale = _mean_distance(known)
    gram, cross = (_kernel(part, known, width * scale) for part in (known, asked))
    middle = records.mean(axis=0)
    values, turned = np.linalg.eigh(gram)
    along = turned.T @ (records - middle)
    ease = max(float(values[-1]), 1e-12) / len(known)
    return [
        middle + cross @ (turned @ (along / (np.maximum(values, 0) + penalty * ease)[:, None]))
        for penalty in penalties
    ]


def _kernel(first: Floats, second: Floats, width: float) -> Floats:
    products: Floats = first @ second.T
    if width == 0:
        return products
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * products
    near: Floats = np.exp(-np.maximum(squares, 0) / (2 * width**2))
    return near


def _mean_distance(known: Floats) -> float:
    # Twice the total variance is the mean squared distance of two rows.
    return float(np.sqrt(max(2 * known.var(axis=0).sum(), 1e-12)))
