"""A model behind an address, as the child sees it: it asks the trusted side, which asks the model.

The child has no network. Rules, secrets, pacing and budget are on the other side
(``tasks/targets/endpoint``); here an endpoint is one more classifier that only answers.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.domain.bundle import ModelSpec
from tasks.sandbox.asking import ask
from tasks.targets.protocol import Images
from tasks.targets.score_target import ScoreTarget

NOTE = "a model behind an address: no gradients, and it may be exchanged at any time"


def open_endpoint(*, model: dict[str, Any]) -> ScoreTarget:
    """Opens the bundle's endpoint; costs eight queries.

    Args:
        model: ``ModelSpec`` as JSON values, with an endpoint.

    Raises:
        TargetError: The answers are not what the bundle describes.
        UnansweredError: The trusted side got no answer.
    """
    spec = ModelSpec.model_validate(model)
    labels = spec.output is not None and spec.output.kind == "labels"
    answer = _labels if labels else _scores
    return ScoreTarget(answer, spec, kind="http endpoint", notes=(NOTE,))


def _scores(inputs: Images) -> NDArray[Any]:
    answers = ask({"inputs": inputs}).arrays["answers"]
    with np.errstate(over="ignore"):  # too large for float32 is infinite, and refused as such
        return answers.astype(np.float32)


def _labels(inputs: Images) -> NDArray[Any]:
    answers = ask({"inputs": inputs}).arrays["answers"]
    whole = np.isfinite(answers) & (answers == np.rint(answers)) & (np.abs(answers) < 1 << 31)
    # Fractions stay fractions, so that the target refuses them as labels.
    return answers.astype(np.int64) if whole.all() else answers
