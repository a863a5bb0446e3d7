"""A victim that says only whether the class changed, and counts what each point was asked."""

import numpy as np
from numpy.typing import NDArray

from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target, predicted, product

Flat = NDArray[np.float32]
"""Points as rows of values (n, d), raw and within the range."""
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Oracle:
    """Answers whether moved inputs got another class than the true one.

    Args:
        target: The victim; of its answers only the class is looked at.
        inputs: Clean inputs (n, …), raw.
        labels: True classes (n,).
    """

    def __init__(self, target: Target, inputs: Images, labels: Labels) -> None:
        self.target, self.labels = target, labels
        self.low, self.high = target.bounds
        self.shape = inputs.shape
        self.clean: Flat = np.ascontiguousarray(inputs, np.float32).reshape(
            len(labels), product(target.input_shape)
        )
        self.asked = np.zeros(len(labels), np.int64)

    def breaks(self, rows: Rows, moved: Flat) -> Flags:
        """Asks once per row; ``rows`` names the point of each row and may repeat."""
        np.add.at(self.asked, rows, 1)
        read = predicted(self.target, moved.reshape(len(rows), *self.target.input_shape))
        broken: Flags = read != self.labels[rows]
        return broken

    def reply(self, candidates: Flat, distance: NDArray[np.float64], epsilon: float) -> Reply:
        """Returns what a decision-based attack answers: witnesses within ``epsilon``, 0 for any."""
        asked = int(self.asked.sum())
        found = (distance <= epsilon) if epsilon > 0 else np.isfinite(distance)
        candidates = np.where(found[:, None], candidates, self.clean)
        return Reply(
            {
                "candidates": candidates.reshape(self.shape),
                "found": found,
                "asked": self.asked,
            },
            {"passes": asked, "queries": asked},
        )


def blocks_of(rows: Rows, values: int, most: int = 1 << 22) -> list[Rows]:
    """Splits rows so that ``values`` numbers for each of them fit memory."""
    size = max(1, most // max(1, values))
    return [rows[start : start + size] for start in range(0, len(rows), size)]
