"""Reasons not to trust that survivors are robust: cheap tests for masked gradients.

Sources: Athalye et al. 2018, arXiv 1802.00420, section 3.1; Carlini et al. 2019, arXiv 1902.06705;
Pintor et al. 2022, arXiv 2106.09947. Each returns sentences; any sentence voids a pass.
"""

import math
from typing import Any

import numpy as np

from tasks.checks.evasion.cascade import Cascade, Flags
from tasks.checks.evasion.schedule import ATTACKS

LARGE = 0.5
"""Fraction of the input range within which every input can become the same grey."""
LARGE_SURVIVORS, LARGE_POINTS = 0.1, 50
RETRIED, RETRY_FACTOR = 20, 5
FLAT_RATE = 0.1


def about_answers(described: dict[str, Any]) -> list[str]:
    """Doubts a model whose answer depends on more than the input: on chance, or on the batch."""
    batches = [note for note in described.get("notes", ()) if "depends on the batch" in str(note)]
    told = [f"{note}; what an attack sees is not what a user gets" for note in batches]
    if not described.get("deterministic", True):
        told.append(
            "the model answers differently to equal inputs; these attacks assume it does not"
        )
    return told


def about_gradients(cascade: Cascade) -> list[str]:
    """Doubts a model whose gradient is exactly zero where the attacks start."""
    rate = float(cascade.flat[cascade.correct].mean()) if cascade.correct.any() else 0.0
    if rate <= FLAT_RATE:
        return []
    return [f"the gradient is exactly zero at {rate:.0%} of the points: masked gradients"]


def about_scores(cascade: Cascade) -> list[str]:
    """Doubts gradients that a search without them outdoes."""
    fell = sum(cascade.fell_to.get(stage, 0) for stage in ("square", "square_near"))
    if not fell:
        return []
    return [f"a search without gradients broke {fell} points that gradients did not: masking"]


def by_one_step(cascade: Cascade) -> list[str]:
    """Doubts an iterated attack that one step outdoes."""
    apgd = ATTACKS[cascade.budget.norm].apgd
    fell = cascade.attack("one_step", apgd, loss="ce", steps=1).fell
    return [f"one step broke {fell} points that many steps did not: masking"] if fell else []


def by_more_steps(cascade: Cascade, steps: int) -> list[str]:
    """Doubts a search that goes on finding when it is given five times the steps."""
    few, apgd = first(cascade.standing, RETRIED), ATTACKS[cascade.budget.norm].apgd
    longer: dict[str, Any] = {"steps": RETRY_FACTOR * steps, "among": few}
    fell = cascade.attack("longer", apgd, loss="dlr_targeted", targets=2, **longer).fell
    if not fell:
        return []
    return [f"{RETRY_FACTOR} times the steps broke {fell} of {int(few.sum())} survivors more"]


def by_large_budget(cascade: Cascade, steps: int) -> list[str]:
    """Doubts points that survive where every input can be turned into any other's shade."""
    few = first(cascade.standing, LARGE_POINTS)
    if not few.any():
        return []
    wide = cascade.under(_large(cascade), few)
    apgd = ATTACKS[cascade.budget.norm].apgd
    wide.attack("large", apgd, loss="ce", steps=steps)
    wide.attack("large", apgd, loss="dlr_targeted", steps=steps, targets=3)
    left = int(wide.standing.sum()) / int(few.sum())
    if left <= LARGE_SURVIVORS:
        return []
    return [f"{left:.0%} of the survivors withstand half of the input range: masking"]


def _large(cascade: Cascade) -> float:
    """Returns the budget within which every input can become the same grey, in raw units."""
    half = LARGE * (cascade.budget.high - cascade.budget.low)
    values = math.prod(cascade.inputs.shape[1:])
    return half * math.sqrt(values) if cascade.budget.norm == "l2" else half


def about_budget(cascade: Cascade) -> list[str]:
    """Reports candidates that were moved too far; they were thrown away."""
    if not cascade.escaped_budget:
        return []
    return [f"{cascade.escaped_budget} candidates left the budget and were not counted"]


def first(flags: Flags, most: int) -> Flags:
    """Returns the first ``most`` true places of ``flags``."""
    return flags & (np.cumsum(flags) <= most)
