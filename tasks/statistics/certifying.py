"""How sure one may be of a majority, looking after every vote.

Mixing the likelihood of all rates with a Jeffreys prior and dividing by that of one rate p gives a
non-negative martingale under p, so that it ever reaches 1 / alpha with chance alpha at most (Ville
1939; Robbins 1970, Annals of Mathematical Statistics 41, 1397-1409). Rates whose quotient is
smaller form an interval that is valid at every number of votes at once: what Voráček 2024, arXiv
2406.17830, uses to certify with fewer votes.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import special

PRIOR = 0.5
HALVINGS = 60
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def rate_bounds(successes: Counts, trials: Counts, alpha: float) -> tuple[Floats, Floats]:
    """Returns lower and upper bounds of rates (n,), each valid at every time at level ``alpha``.

    Args:
        successes: How often it happened (n,).
        trials: How often it was tried (n,); 0 gives 0 and 1.
        alpha: Chance that a bound is ever on the wrong side, at most.

    Raises:
        ValueError: The counts contradict each other, or alpha is not strictly between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}, it must lie strictly between 0 and 1")
    if bool(np.any((successes < 0) | (successes > trials))):
        raise ValueError("there are more successes than trials, or fewer than none")
    low = _bound(successes, trials, alpha)
    return low, 1 - _bound(trials - successes, trials, alpha)


def _bound(successes: Counts, trials: Counts, alpha: float) -> Floats:
    """Returns the least rate that is not refuted, by halving between 0 and the observed rate."""
    wins, losses = successes.astype(np.float64), (trials - successes).astype(np.float64)
    mixed = special.betaln(PRIOR + wins, PRIOR + losses) - special.betaln(PRIOR, PRIOR)
    least = np.zeros(len(wins))
    most = np.divide(wins, trials, out=np.zeros_like(wins), where=trials > 0)
    for _ in range(HALVINGS):
        middle = (least + most) / 2
        evidence = mixed - special.xlogy(wins, middle) - special.xlog1py(losses, -middle)
        refuted = evidence >= -np.log(alpha)
        least, most = np.where(refuted, middle, least), np.where(refuted, most, middle)
    return least
