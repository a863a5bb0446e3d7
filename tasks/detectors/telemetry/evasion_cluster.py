"""One input at the centre of many questions: the largest cluster of different variants.

Source of the idea: PIHA and Blacklight cluster an attacker's queries around their seed (Li et al.
2022, arXiv 2006.14042).
"""

import numpy as np

from tasks.detectors.telemetry.trail import NEAR, Look

FEWEST = 50


def evasion_cluster(look: Look) -> float:
    """Returns the largest share of earlier questions that are variants of one of the block's.

    A question that was repeated counts once, so that a health check with one stray scan of its
    input is no cluster.
    """
    past = look.past
    _, first = np.unique(past.hashes, return_index=True)
    variants = (look.distances[:, first] < NEAR).sum(axis=1)
    return float(np.max(variants, initial=0) / max(FEWEST, past.length))
