"""Rounds probabilities, so that small changes of an input stay unseen."""

from collections.abc import Mapping

import numpy as np

from tasks.gateway.filters.protocol import Answer


def rounding(answer: Answer, settings: Mapping[str, float], dice: np.random.Generator) -> Answer:  # noqa: ARG001
    """Rounds to ``decimals`` (default 2, 0 to 6)."""
    decimals = int(settings.get("decimals", 2))
    if not 0 <= decimals <= 6:
        raise ValueError(f"rounding needs 0 to 6 decimals, got {decimals}")
    kept = answer.probabilities
    return Answer(answer.labels, None if kept is None else np.round(kept, decimals))
