"""The Adversarial Robustness Toolbox's black-box membership attack, as one attack among others.

Runs only in the sandbox child. Source: Nicolae et al., arXiv 1807.01069; the attack model is a
forest on scores and labels (Shokri et al. 2017, arXiv 1610.05820).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.sandbox.protocol import Array, Reply


def art_black_box(
    *_target: Any,
    scores: Array,
    labels: Array,
    members: NDArray[np.bool_],
    learning: NDArray[np.bool_],
    seed: int,
) -> Reply:
    """Lets the attack learn from ``learning`` and returns its opinion of all items.

    Args:
        scores: What the target answered (items, classes).
        labels: True classes (items,).
        members: Which items are members.
        learning: Which items the attack may learn from; opinions of the others count.
        seed: Seeds the forest.

    Returns:
        ``arrays["signal"]`` (items,) float64: probability of being a member.
    """
    # Eight seconds of imports: only who asks for it pays.
    from art.attacks.inference.membership_inference import (  # noqa: PLC0415
        MembershipInferenceBlackBox,
    )
    from art.estimators.classification import BlackBoxClassifier  # noqa: PLC0415

    classes = scores.shape[1]
    placeholder = BlackBoxClassifier(lambda x: x, (classes,), classes)
    attack = MembershipInferenceBlackBox(placeholder, attack_model_type="rf")
    attack.attack_model.set_params(random_state=seed, n_jobs=1)
    inside, outside = learning & members, learning & ~members
    attack.fit(
        y=labels[inside], test_y=labels[outside], pred=scores[inside], test_pred=scores[outside]
    )
    opinions = attack.infer(None, labels, pred=scores, probabilities=True)
    signal = np.asarray(opinions, dtype=np.float64).reshape(len(scores), -1)[:, -1]
    return Reply({"signal": signal}, {})
