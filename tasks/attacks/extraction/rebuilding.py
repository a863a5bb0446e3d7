"""The copy that a thief could have made, rebuilt offline from what was captured of its questions.

The same students as in every attack of this family, taught by features as telemetry keeps them.
Nothing is asked of the model: its own answers to other questions are the truth to compare with.
"""

import numpy as np

from tasks.attacks.extraction.students import Lesson, certain, studied
from tasks.sandbox.protocol import Array, Reply


def rebuilt(
    *, features: Array, labels: Array, confidence: Array, natural: Array, natural_labels: Array,
    held: Array, classes: int, seed: int = 0,
) -> Reply:  # fmt: skip
    """Trains a copy on captured answers, and one on as many ordinary questions.

    Args:
        features: (n, d) what was kept of captured inputs.
        labels: (n,) classes that were answered.
        confidence: (n,) their probabilities; the rest is spread over the other classes.
        natural: (m, d) of inputs that honest callers asked, for the comparison; m may be 0.
        natural_labels: (m,) what they were answered.
        held: (k, d) of inputs that nobody learns from.
        classes: Number of classes.
        seed: Of the students.

    Returns:
        Arrays ``copy`` (k,) and, with natural rows, ``natural`` (k,): the classes they name.
    """
    everything = np.concatenate([features, natural, held]).astype(np.float32)
    low, high = float(everything.min()), float(everything.max())
    bounds = (low, high if high > low else low + 1)
    beliefs = _beliefs(labels, confidence, classes)
    arrays = {
        "copy": studied(
            features, [Lesson(np.arange(len(features)), beliefs)], held, bounds=bounds, seed=seed
        )[0]
    }
    if len(natural):
        lesson = Lesson(np.arange(len(natural)), certain(natural_labels, classes))
        arrays["natural"] = studied(natural, [lesson], held, bounds=bounds, seed=seed)[0]
    return Reply(arrays, {})


def _beliefs(labels: Array, confidence: Array, classes: int) -> Array:
    sure = np.clip(confidence, 1 / classes, 1)[:, None]
    spread = np.repeat((1 - sure) / max(1, classes - 1), classes, axis=1)
    np.put_along_axis(spread, labels[:, None].astype(np.int64), sure, axis=1)
    found: Array = spread.astype(np.float32)
    return found
