"""A classifier that only answers: no gradients, because nothing differentiable is behind it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.domain.bundle import ModelSpec
from tasks.domain.errors import TargetError
from tasks.targets.protocol import Access, Images, Meter, Scores
from tasks.targets.torch_target import (
    SMALLEST,
    bounds_of,
    checked_inputs,
    checked_scores,
    chunks,
    contract,
    looks_like_probabilities,
    probe_inputs,
)

Answer = Callable[[Images], NDArray[Any]]
"""Normalised inputs (n, …) to (n, classes), or to labels (n,) where the model answers labels."""


class ScoreTarget:
    """Asks a function and reads its answers as the bundle describes them.

    Args:
        answer: The model.
        model: The bundle's description.
        kind: Which sort of artifact it came from.
        notes: What a reader should know; among them why there are no gradients.
        parameters: How many numbers were learnt, 0 if unknown.

    Raises:
        TargetError: The answers are not what the description says.
    """

    def __init__(
        self,
        answer: Answer,
        model: ModelSpec,
        *,
        kind: str,
        notes: tuple[str, ...] = (),
        parameters: int = 0,
    ) -> None:
        spec, output, self.classes = contract(model)
        self.input_shape = spec.shape
        self.bounds = bounds_of(spec)
        self.access = Access.LABELS if output.kind == "labels" else Access.SCORES
        self.meter = Meter()
        self.module = None
        self.kind, self.notes, self.parameters = kind, list(notes), parameters
        per_channel = (-1,) + (1,) * (len(spec.shape) - 1)
        self.mean = np.array(spec.mean, np.float32).reshape(per_channel)
        self.std = np.array(spec.std, np.float32).reshape(per_channel)
        self.probabilities = output.kind == "probabilities"
        self.answer = answer
        self.deterministic = self._inspect()

    def scores(self, inputs: Images) -> Scores:
        """Answers a batch of any size; labels become 1 for the class and 0 for the others.

        Raises:
            TargetError: Wrong item shape, or the model answers NaN or the wrong shape.
        """
        batch = checked_inputs(inputs, self.input_shape)
        answers = [self._chunk(batch[part]) for part in chunks(len(batch), self.input_shape)]
        return np.concatenate([np.zeros((0, self.classes), np.float32), *answers])

    def describe(self) -> dict[str, Any]:
        """Says what it is, as JSON values."""
        return {
            "kind": self.kind,
            "access": self.access.value,
            "classes": self.classes,
            "input_shape": list(self.input_shape),
            "bounds": list(self.bounds),
            "parameters": self.parameters,
            "deterministic": self.deterministic,
            "notes": list(self.notes),
        }

    def _chunk(self, batch: Images) -> Scores:
        self.meter.forwards += len(batch)
        answer = np.asarray(self.answer((batch - self.mean) / self.std))
        if self.access is Access.LABELS:
            return self._one_hot(answer, len(batch))
        scores = checked_scores(answer.astype(np.float32), len(batch), self.classes)
        return np.log(np.maximum(scores, SMALLEST)) if self.probabilities else scores

    def _one_hot(self, labels: NDArray[Any], count: int) -> Scores:
        if labels.shape not in {(count,), (count, 1)} or labels.dtype.kind not in "iu":
            raise TargetError(
                f"the model answers {labels.dtype} {labels.shape} for {count} inputs, "
                "the bundle says labels"
            )
        flat = labels.reshape(count).astype(np.int64)
        if count and not 0 <= flat.min() <= flat.max() < self.classes:
            raise TargetError(
                f"the model answers labels {flat.min()}..{flat.max()}, not 0..{self.classes - 1}"
            )
        one_hot: Scores = np.eye(self.classes, dtype=np.float32)[flat]
        return one_hot

    def _inspect(self) -> bool:
        probe = probe_inputs(self.input_shape, self.bounds, 4)
        first, again = self.scores(probe), self.scores(probe)
        deterministic = bool(np.array_equal(first, again))
        if not deterministic:
            self.notes.append("the same inputs got different scores twice: not deterministic")
        undeclared = self.access is Access.SCORES and not self.probabilities
        if undeclared and looks_like_probabilities(first):
            self.probabilities = True
            self.notes.append(
                "the bundle says logits, the model answers probabilities: read as probabilities"
            )
        self.meter.forwards = 0
        return deterministic
