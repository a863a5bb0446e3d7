"""Shows classes and no numbers."""

from collections.abc import Mapping

import numpy as np

from tasks.gateway.filters.protocol import Answer


def label_only(answer: Answer, settings: Mapping[str, float], dice: np.random.Generator) -> Answer:  # noqa: ARG001
    """Drops the probabilities."""
    return Answer(answer.labels, None)
