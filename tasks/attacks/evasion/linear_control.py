"""A victim whose best attack is known on paper, attacked by the same code in the same run.

For scores ``Wx + b`` the smallest change that turns class y into j is
``(score_y - score_j) / ||w_y - w_j||``, in the dual norm (Hölder's inequality): the sum of absolute
values for the L-infinity ball, the length for the Euclidean one.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.attacks.evasion.apgd import apgd
from tasks.attacks.evasion.fab import fab
from tasks.attacks.evasion.l2_square import l2_square
from tasks.attacks.evasion.square import square
from tasks.domain.bundle import ModelSpec
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Target
from tasks.targets.torch_target import TorchTarget

FEATURES, CLASSES = 24, 4
SQUARE = {"linf": square, "l2": l2_square}
DUAL: dict[str, float] = {"linf": 1, "l2": 2, "l1": np.inf}
"""Order of the norm in which a slope counts, by the norm in which a change does."""


def linear_control(
    _target: Target,
    *,
    norm: str = "linf",
    points: int = 32,
    steps: int = 50,
    square_queries: int = 1000,
    seed: int = 0,
) -> Reply:
    """Attacks a random linear model at a radius that half of its points cannot survive.

    The opened target is left alone: this measures the attacks, not the model.

    Returns:
        Arrays ``weights`` (classes, features), ``bias``, ``inputs``, ``labels``, and the candidates
        of the attacks: ``by_gradient``, ``by_boundary`` and ``by_scores``; value ``epsilon``. The
        caller works out the closed form and compares.
    """
    rng = np.random.default_rng([seed, FEATURES])
    weights = rng.normal(size=(CLASSES, FEATURES)).astype(np.float32)
    bias = rng.normal(size=CLASSES).astype(np.float32)
    inputs = rng.uniform(0.4, 0.6, (points, FEATURES)).astype(np.float32)
    labels = (inputs @ weights.T + bias).argmax(axis=1).astype(np.int64)
    epsilon = float(np.median(linear_distances(weights, bias, inputs, labels, norm=norm)))
    victim = linear_target(weights, bias)
    on = {"inputs": inputs, "labels": labels}
    by_gradient = apgd(
        victim, norm=norm, epsilon=epsilon, steps=steps, loss="margin_targeted", seed=seed, **on
    )
    by_boundary = fab(victim, norm=norm, epsilon=epsilon, steps=steps, seed=seed, **on)
    by_scores = SQUARE[norm](victim, epsilon=epsilon, queries=square_queries, seed=seed, **on)
    return Reply(
        {
            "weights": weights,
            "bias": bias,
            **on,
            "by_gradient": by_gradient.arrays["candidates"],
            "by_boundary": by_boundary.arrays["candidates"],
            "by_scores": by_scores.arrays["candidates"],
        },
        {"epsilon": epsilon, "passes": victim.meter.passes},
    )


def linear_distances(
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
    inputs: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    norm: str = "linf",
) -> NDArray[np.float64]:
    """Returns how far each input is from another class (n,), in an unbounded range."""
    wide = weights.astype(np.float64)
    scores = inputs.astype(np.float64) @ wide.T + bias
    lead = scores[np.arange(len(labels)), labels][:, None] - scores
    slope = np.linalg.norm(wide[labels][:, None] - wide[None], ord=DUAL[norm], axis=2)
    reach = np.divide(lead, slope, out=np.full_like(lead, np.inf), where=slope > 0)
    nearest: NDArray[np.float64] = reach.min(axis=1)
    return nearest


def linear_target(
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
) -> TorchTarget:
    """Returns a target that computes ``Wx + b`` on inputs in [0, 1]."""
    classes, features = weights.shape
    network = torch.nn.Linear(features, classes)
    with torch.no_grad():
        network.weight.copy_(torch.from_numpy(weights))
        network.bias.copy_(torch.from_numpy(bias))
    model = ModelSpec.model_validate(
        {
            "name": "linear control",
            "version": "1",
            "task": "classification",
            "artifact": "none",
            "input": {"shape": [features]},
            "output": {"kind": "logits", "classes": classes},
        }
    )
    return TorchTarget(network, model, kind="linear control")
