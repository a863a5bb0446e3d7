"""Attacks of Torchattacks, which takes inputs in 0..1 only."""

import contextlib
import importlib
import inspect
import io
from typing import Any

import numpy as np
import torch

from tasks.attacks.providers.order import Order, one_of, seeded
from tasks.targets.protocol import Images

INSTALL = "pip install --no-deps torchattacks==3.5.1"


class _FromUnit(torch.nn.Module):
    def __init__(self, inner: torch.nn.Module, low: float, span: float) -> None:
        super().__init__()
        self.inner, self.low, self.span = inner, low, span
        # The toolbox asks the first weight for its device; a model may have none.
        self.anchor = torch.nn.Parameter(torch.zeros(()), requires_grad=False)
        self.training = False

    def forward(self, unit: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.inner(unit * self.span + self.low)
        return scores


def attacked(order: Order) -> Images:
    """Runs the attack class ``order.name`` of ``torchattacks``; ``eps`` is a share of the range.

    Raises:
        Refused: There is no such attack, or it does not take these settings or this target.
    """
    torchattacks: Any = importlib.import_module("torchattacks")
    known = {
        name
        for name, found in vars(torchattacks).items()
        if isinstance(found, type) and issubclass(found, torchattacks.attack.Attack)
    }
    attack_class = getattr(torchattacks, one_of(known, order.name, "Torchattacks"))
    parameters = set(inspect.signature(attack_class.__init__).parameters) - {"self", "model"}
    share = order.epsilon / order.span
    settings = order.filled(
        parameters, {"eps": share, "alpha": share / 4, "n_classes": order.target.classes}
    )
    seeded(order.seed)
    low = order.target.bounds[0]
    unit = torch.from_numpy((order.inputs - low) / order.span).clamp(0, 1)
    with contextlib.redirect_stdout(io.StringIO()):  # it reports progress by printing
        attack = attack_class(_FromUnit(order.module, low, order.span), **settings)
        moved = attack(unit, torch.from_numpy(order.labels))
    return np.asarray(moved.detach().numpy() * order.span + low, np.float32)
