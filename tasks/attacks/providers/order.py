"""What a battery orders from a toolbox, and what every provider does alike."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from tasks.targets.protocol import Images, Labels, Target


class Refused(Exception):  # noqa: N818  - an answer, not an error
    """The order cannot be carried out; the text says why and how to mend it."""


class Order(NamedTuple):
    """One attack by name, its settings as data, and what it runs on."""

    name: str
    settings: dict[str, Any]
    target: Target
    inputs: Images
    labels: Labels
    epsilon: float
    """Largest change in raw units; settings of the toolbox's own name win."""
    seed: int

    @property
    def module(self) -> torch.nn.Module:
        """The differentiable model.

        Raises:
            Refused: The target reveals no gradients.
        """
        if self.target.module is None:
            raise Refused("this attack needs gradients, the model reveals less")
        return self.target.module

    @property
    def span(self) -> float:
        """The width of the input range, in raw units."""
        return self.target.bounds[1] - self.target.bounds[0]

    def filled(self, known: set[str], defaults: dict[str, Any]) -> dict[str, Any]:
        """Returns the settings with those defaults that the attack knows and nobody chose.

        Raises:
            Refused: A chosen setting is not known to the attack.
        """
        if unknown := sorted(set(self.settings) - known):
            has = ", ".join(sorted(known))
            raise Refused(f"{self.name} has no setting {', '.join(unknown)}; it has {has}")
        chosen = {name: _number(value) for name, value in self.settings.items()}
        return {name: value for name, value in defaults.items() if name in known} | chosen


Provider = Callable[[Order], Images]


def seeded(seed: int) -> None:
    """Seeds the global generators, the only ones that these toolboxes know."""
    np.random.seed(seed % (1 << 32))  # noqa: NPY002
    torch.manual_seed(seed)


def one_of(names: set[str], name: str, toolbox: str) -> str:
    """Returns ``name`` if the toolbox has it.

    Raises:
        Refused: It has not; the text lists what sounds alike.
    """
    if name in names:
        return name
    alike = sorted(each for each in names if each[:3].lower() == name[:3].lower())
    known = ", ".join(alike or sorted(names)[:12])
    raise Refused(f"{toolbox} has no attack {name}; it has {known}")


def _number(value: Any) -> Any:
    """JSON has no infinity, and norms need it."""
    return math.inf if value == "inf" else value
