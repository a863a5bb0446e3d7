"""How many exceptions a new table may hold where a reference holds few or none.

Both tables are taken as drawn from one source; every bound is exact or too generous.
"""

import numpy as np
from scipy import special, stats

from tasks.statistics.intervals import binomial


def most_unseen(reference: int, rows: int, *, alpha: float) -> int:
    """Returns how many of ``rows`` may break a rule that none of ``reference`` rows breaks.

    If k rows of both tables together break it, the chance that all of them lie in the new one is
    C(rows, k) / C(reference + rows, k), whatever their share in the source is (exchangeability;
    for a range it is the exceedance law of Gumbel and von Schelling 1950).

    Args:
        reference: Rows without exception, at least 1.
        rows: Rows of the new table.
        alpha: Chance that more than these are there though nothing changed, at most.
    """
    if rows < 1:
        return 0
    counts = np.arange(rows + 1)
    chance = (
        special.gammaln(rows + 1)
        - special.gammaln(rows - counts + 1)
        + special.gammaln(reference + rows - counts + 1)
        - special.gammaln(reference + rows + 1)
    )
    improbable = np.flatnonzero(chance <= np.log(alpha))
    return int(improbable[0]) - 1 if len(improbable) else rows


def most_expected(seen: int, reference: int, rows: int, *, alpha: float, slack: float = 0.0) -> int:
    """Returns how many of ``rows`` may show what ``seen`` of ``reference`` rows showed.

    Half of ``alpha`` is spent on what the reference's share may be (Clopper and Pearson), half on
    the new table's count given that share.

    Args:
        seen: Rows of the reference that show it.
        reference: Rows of the reference, at least 1.
        rows: Rows of the new table.
        alpha: Chance that more are there though nothing changed, at most.
        slack: Share of rows that is tolerated on top.
    """
    highest = binomial(seen, reference, confidence=1 - alpha).high
    return int(stats.binom.isf(alpha / 2, rows, min(1.0, highest + slack)))
