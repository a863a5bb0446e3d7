"""An attacker who knows the bare model and nothing of what stands in front of it."""

from typing import Any

import numpy as np

from tasks.attacks.evasion.linf_apgd import linf_apgd
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target, predicted


def unaware(
    target: Target, *, inputs: Images, labels: Labels, epsilon: float, steps: int, seed: int
) -> Reply:
    """Climbs on the bare model: Auto-PGD with cross-entropy, then targeted DLR on what stands.

    Args:
        target: The bare model; must reveal gradients.
        inputs: (n, …) float32 raw inputs; what is misread already is left as it is.
        labels: (n,) true classes.
        epsilon: Radius of the L-infinity ball, in raw units.
        steps: Of each climb.
        seed: Equal seeds give equal outputs.

    Returns:
        ``arrays["candidates"]`` (like ``inputs``) to be shown to defended models.
    """
    before = target.meter.forwards, target.meter.backwards
    moved = inputs.copy()
    rows = np.flatnonzero(predicted(target, inputs) == labels)
    settings: dict[str, Any] = {"epsilon": epsilon, "steps": steps, "seed": seed}
    for loss in ({"loss": "ce"}, {"loss": "dlr_targeted", "targets": 3}):
        reply = linf_apgd(target, inputs=inputs[rows], labels=labels[rows], **loss, **settings)
        moved[rows] = reply.arrays["candidates"]
        rows = rows[~reply.arrays["found"]]
    asked = target.meter.forwards - before[0]
    passes = asked + target.meter.backwards - before[1]
    return Reply({"candidates": moved}, {"passes": passes, "queries": asked})
