"""What an output filter sees and returns, and how filters are found by name.

A filter is ``tasks/gateway/filters/<name>.py`` with ``def <name>(answer, settings, dice)``. A new
filter is one file; the policy names it. Filters only take away: the gateway checks that none
shows more classes than came in.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.domain.errors import InvalidInputError
from tasks.gateway.policy import FilterStep

Probabilities = NDArray[np.float64]


class Answer(NamedTuple):
    """What one caller will see: the k likeliest classes of each item, the likeliest first.

    ``probabilities`` is None where only the classes are shown.
    """

    labels: NDArray[np.int64]
    """(n, k)."""
    probabilities: Probabilities | None
    """(n, k), within 0..1."""


Filter = Callable[[Answer, Mapping[str, float], np.random.Generator], Answer]


def whole_answer(probabilities: Probabilities) -> Answer:
    """Returns all classes of (n, classes) probabilities, sorted."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    return Answer(order, np.take_along_axis(probabilities, order, axis=1))


class Filters:
    """A role's filters in order.

    Raises:
        InvalidInputError: A filter does not exist or refuses its settings.
    """

    def __init__(self, steps: Sequence[FilterStep]) -> None:
        self._steps = [(_found(step.name), step.settings) for step in steps]
        trial = whole_answer(np.array([[0.6, 0.3, 0.1]]))
        try:
            self.applied(trial, np.random.default_rng(0))
        except (KeyError, TypeError, ValueError) as error:
            names = ", ".join(step.name for step in steps)
            raise InvalidInputError(
                f"the filters {names} refuse their settings: {error}"
            ) from error

    def applied(self, answer: Answer, dice: np.random.Generator) -> Answer:
        """Returns what is left of an answer."""
        for step, settings in self._steps:
            shown = step(answer, settings, dice)
            if shown.labels.shape[1] > answer.labels.shape[1]:
                raise ValueError(f"the filter {step.__name__} shows more than it was given")
            answer = shown
        return answer


def _found(name: str) -> Filter:
    module = f"tasks.gateway.filters.{name}"
    if name == "protocol" or importlib.util.find_spec(module) is None:
        raise InvalidInputError(f"there is no output filter {name!r} in tasks/gateway/filters")
    found: Filter = getattr(importlib.import_module(module), name)
    return found
