"""Shows the k likeliest classes instead of the whole vector."""

from collections.abc import Mapping

import numpy as np

from tasks.gateway.filters.protocol import Answer


def top_k(answer: Answer, settings: Mapping[str, float], dice: np.random.Generator) -> Answer:  # noqa: ARG001
    """Keeps the first ``k`` (default 1) classes of each item."""
    k = int(settings.get("k", 1))
    if k < 1:
        raise ValueError(f"top_k needs k of at least 1, got {k}")
    kept = answer.probabilities
    return Answer(answer.labels[:, :k], None if kept is None else kept[:, :k])
