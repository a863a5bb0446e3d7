"""Adds noise to probabilities; the order of the classes, and so the label, is never changed.

Source: the "reverse sigmoid" and "deceptive" families perturb more; this is the plain arm that
methods for measuring extraction compare with (Orekondy et al. 2020, arXiv 1906.10908, section 5).
"""

from collections.abc import Mapping

import numpy as np

from tasks.gateway.filters.protocol import Answer


def noise(answer: Answer, settings: Mapping[str, float], dice: np.random.Generator) -> Answer:
    """Adds Laplace noise of ``scale`` (default 0.02) and restores order and range."""
    scale = float(settings.get("scale", 0.02))
    if not 0 <= scale <= 1:
        raise ValueError(f"noise needs a scale within 0..1, got {scale}")
    if answer.probabilities is None:
        return answer
    moved = answer.probabilities + dice.laplace(0, scale, answer.probabilities.shape)
    return Answer(answer.labels, -np.sort(-np.clip(moved, 0, 1), axis=1))
