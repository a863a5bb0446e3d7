"""A watch that goes on night after night and whose false alarms are counted over all of it.

Each night brings counts. For a bound on a rate, wealth is won by betting against "the rate is
within the bound"; under that hypothesis it is a non-negative supermartingale, whatever the true
rates do from night to night as long as they stay within. Its product depends on the counts alone,
so nights are summed, not replayed.

A change may come late, when a bet from the first night on has lost everything. So a new bet starts
every night with a share of the stake: half of it goes to all nights of a year evenly, half mostly
to the first ones. That is still one e-process, and starting late costs a logarithm. It ever reaches
1 / alpha with chance alpha at most (Ville 1939), however often and for whatever reason one looks.

Sources: Waudby-Smith and Ramdas 2024 (bets); Shin, Ramdas and Rinaldo 2024, arXiv 2203.03532
(starting anew); Vovk and Wang 2021, Annals of Statistics 49 (averages of e-values).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tasks.statistics.betting import BETS
from tasks.statistics.intervals import Floats

HORIZON = 365
"""Nights over which half of a watch's stake is spread evenly."""
Counts = NDArray[np.int64]


class Band(NamedTuple):
    """Between which rates a rate may be without reason for alarm."""

    low: Floats
    high: Floats


def reference_band(successes: Counts, trials: Counts, *, alpha: float, tolerance: float) -> Band:
    """Returns bands around rates of a reference: what its sample leaves open, and a tolerance.

    All bands hold the true rates at once with chance 1 - alpha at least (Clopper and Pearson 1934,
    Bonferroni). That chance is taken once, not once a night: later nights share the reference.

    Args:
        successes: How often it happened in the reference (k,).
        trials: Rows of the reference (k,).
        alpha: Chance that any band misses.
        tolerance: What a rate may move by beyond that, as a share of all rows.
    """
    tail = alpha / (2 * max(1, len(successes)))
    failures = trials - successes
    low = np.where(
        successes > 0, special.betaincinv(np.maximum(successes, 1), failures + 1, tail), 0
    )
    high = np.where(
        failures > 0, special.betaincinv(successes + 1, np.maximum(failures, 1), 1 - tail), 1
    )
    empty = trials == 0
    low, high = np.where(empty, 0, low), np.where(empty, 1, high)
    return Band(np.clip(low - tolerance, 0, 1), np.clip(high + tolerance, 0, 1))


def stakes(nights: int) -> Floats:
    """Returns the share of the stake that the bet of each night gets (nights,); 1 in all.

    The share of night s is half of 1 / (s (s + 1)), and half of 1 / 365 in the first 365 nights.
    """
    night = np.arange(1, nights + 1, dtype=np.float64)
    shares: Floats = 0.5 / (night * (night + 1)) + np.where(night <= HORIZON, 0.5 / HORIZON, 0.0)
    return shares


def log_evidence(successes: Counts, trials: Counts, band: Band, *, falls: bool = True) -> Floats:
    """Returns the logarithm of the evidence against the band after each night (nights,).

    The evidence is the mean over rates and sides, so that it is of one e-process, whatever depends
    on what among them.

    Args:
        successes: How often it happened (nights, k).
        trials: Rows (nights, k).
        band: Where the rates may be (k,).
        falls: Whether a rate below its band counts, too.
    """
    nights, rates = successes.shape
    if not nights or not rates:
        return np.zeros(nights)
    both = _started(successes, trials, band.high)
    if falls:
        below = _started(trials - successes, trials, 1 - band.low)
        both = np.concatenate([both, below], axis=1)
    evidence: Floats = special.logsumexp(both, axis=1) - np.log(both.shape[1])
    return evidence


def share_of_alpha(alpha: float, number: int) -> float:
    """Returns what the ``number``-th watch may spend: all together, and forever, ``alpha``.

    Raises:
        ValueError: ``number`` is below 1.
    """
    if number < 1:
        raise ValueError(f"watches are numbered from 1, this is {number}")
    return alpha * 6 / (np.pi**2 * number**2)


def _started(successes: Counts, trials: Counts, bound: Floats) -> Floats:
    """Returns log wealth (nights, k) of bets against "at most the bound", one begun a night."""
    nights, rates = successes.shape
    won = successes[:, :, None].astype(np.float64)
    lost = (trials - successes)[:, :, None].astype(np.float64)
    inside = np.clip(bound, 1e-9, 1 - 1e-9)[None, :, None]
    sizes = BETS / inside
    gains = won * np.log1p(sizes * (1 - inside)) + lost * np.log1p(-sizes * inside)
    # Where the bound is 1 nothing can be above it, and nobody bets.
    gains = np.where(bound[None, :, None] >= 1, 0.0, gains)
    total = np.cumsum(gains, axis=0)
    before = np.concatenate([np.zeros((1, rates, len(BETS))), total[:-1]])
    shares = stakes(nights)
    # Wealth of a bet begun on night s is exp(total[t] - before[s]); summed over all s up to t.
    begun = np.log(shares)[:, None, None] - before
    running = np.logaddexp.accumulate(begun, axis=0) + total
    started = special.logsumexp(running, axis=2) - np.log(len(BETS))
    idle = np.log(np.maximum(1 - np.cumsum(shares), 1e-300))
    evidence: Floats = np.logaddexp(started, idle[:, None])
    return evidence
