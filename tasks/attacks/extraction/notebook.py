"""What a thief wrote down: every question, every answer, and the copy that comes of it.

Strategies differ in what they ask next. The copy that counts is always a fresh student taught by
the whole notebook in the same way, so that strategies are compared by their questions alone.
"""

import numpy as np
import torch

from tasks.attacks.extraction.arms import named
from tasks.attacks.extraction.students import (
    Beliefs,
    Cohort,
    Lesson,
    believed,
    centred,
    certain,
    studied,
)
from tasks.detectors.telemetry.query_distances import seen_by_distances
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Access, Images, Labels, Target


class Notebook:
    """Asks at most ``budget`` questions and remembers them.

    Args:
        target: Victim.
        budget: Most inputs to ask about.
        labels_only: Remembers only the class that the target names.
        seed: Of the students.
    """

    def __init__(
        self, target: Target, *, budget: int, labels_only: bool = False, seed: int = 0
    ) -> None:
        self.target, self.seed = target, seed
        self.left = budget
        self.student_passes = 0
        self._hard = labels_only or target.access is Access.LABELS
        self._before = target.meter.forwards
        self._asked: list[Images] = []
        self._beliefs: list[Beliefs] = []

    @property
    def asked(self) -> Images:
        """Every question so far (n, …)."""
        return np.concatenate(self._asked)

    @property
    def beliefs(self) -> Beliefs:
        """Every answer so far (n, classes)."""
        return np.concatenate(self._beliefs)

    def ask(self, inputs: Images) -> Beliefs:
        """Asks about as many of ``inputs`` as are still allowed and returns the answers."""
        inputs = np.ascontiguousarray(inputs[: self.left], np.float32)
        scores = self.target.scores(inputs)
        beliefs = (
            certain(scores.argmax(axis=1), scores.shape[1]) if self._hard else believed(scores)
        )
        self.left -= len(inputs)
        self._asked.append(inputs)
        self._beliefs.append(beliefs)
        return beliefs

    def cohort(self, count: int = 1, *, alike: bool = True) -> Cohort:
        """Returns untrained students of this victim."""
        shape, classes = self.target.input_shape, self.target.classes
        return Cohort(shape, classes, count=count, seed=self.seed, alike=alike)

    def teach(self, cohort: Cohort, *, steps: int) -> None:
        """Trains students further on all that was written down."""
        lesson = Lesson(np.arange(len(self.asked)), self.beliefs, steps)
        self.student_passes += lesson.passes * cohort.count
        cohort.learn(self.centred(self.asked), [lesson] * cohort.count, seed=self.seed)

    def centred(self, inputs: Images) -> torch.Tensor:
        """Returns raw inputs as students see them."""
        return centred(inputs, self.target.bounds)

    def raw(self, inputs: torch.Tensor) -> Images:
        """Returns what students see as raw inputs within bounds."""
        low, high = self.target.bounds
        unit = (inputs.detach().numpy().astype(np.float64) + 1) / 2
        return (low + unit.clip(0, 1) * (high - low)).astype(np.float32)

    def copy(self, held_out: Images) -> Reply:
        """Returns array ``student`` (n,), the classes that a fresh copy names for ``held_out``."""
        lesson = Lesson(np.arange(len(self.asked)), self.beliefs)
        student: Labels = studied(
            self.asked, [lesson], held_out, bounds=self.target.bounds, seed=self.seed
        )[0]
        spent = self.target.meter.forwards - self._before
        return Reply(
            {"student": student},
            {
                "passes": spent,
                "queries": spent,
                "student_passes": self.student_passes + lesson.passes,
                "monitor": seen_by_distances(self.asked, named(self.beliefs)),
            },
        )
