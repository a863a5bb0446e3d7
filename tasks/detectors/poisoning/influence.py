"""How much a network's training hangs on each single row: self-influence, projected.

Source: Park et al. 2023, TRAK, arXiv 2303.14186, equation 13, with the last layer's gradients of
the loss in place of all weights' (as in Pruthi et al. 2020, TracIn, section 4.2).
"""

import numpy as np

from tasks.detectors.poisoning.students import Labels, Scores
from tasks.detectors.poisoning.views import Floats

PROJECTED, RIDGE = 256, 1e-3


def influence(features: Floats, probabilities: Scores, labels: Labels, *, seed: int) -> Scores:
    """Returns each row's influence on its own loss (n,).

    Args:
        features: Activations before the last layer (n, width).
        probabilities: What the network says of each class (n, classes).
        labels: Claimed classes (n,).
        seed: Draws the projection.
    """
    errors = probabilities.copy()
    errors[np.arange(len(labels)), labels] -= 1
    rng = np.random.default_rng(seed)
    # A projected outer product is the product of two projections (Rademacher vectors).
    left = rng.choice((-1.0, 1.0), (errors.shape[1], PROJECTED))
    right = rng.choice((-1.0, 1.0), (features.shape[1], PROJECTED))
    gradients = (errors @ left) * (features @ right) / PROJECTED**0.5
    kernel = gradients.T @ gradients
    kernel[np.diag_indices_from(kernel)] += RIDGE * np.trace(kernel) / len(kernel) + 1e-12
    scores: Scores = (gradients * np.linalg.solve(kernel, gradients.T).T).sum(1)
    return scores
