"""Attacks of CleverHans: functions, one per module of ``cleverhans.torch.attacks``."""

import importlib
import inspect
import math
import pkgutil
from typing import Any

import numpy as np
import torch

from tasks.attacks.providers.order import Order, Refused, one_of, seeded
from tasks.targets.protocol import Images

INSTALL = "pip install --no-deps cleverhans==4.0.0"
TAKEN = {"model_fn", "x"}


def attacked(order: Order) -> Images:
    """Runs the function ``order.name``.

    Raises:
        Refused: There is no such attack, or it does not take these settings or this target.
    """
    attacks: Any = importlib.import_module("cleverhans.torch.attacks")
    known = {module.name for module in pkgutil.iter_modules(attacks.__path__)}
    module = importlib.import_module(
        f"cleverhans.torch.attacks.{one_of(known, order.name, 'CleverHans')}"
    )
    function: Any = getattr(module, order.name, None)
    if function is None:
        raise Refused(f"CleverHans' module {order.name} has no function of that name")
    low, high = order.target.bounds
    settings = order.filled(
        set(inspect.signature(function).parameters) - TAKEN,
        {
            "eps": order.epsilon,
            "eps_iter": order.epsilon / 4,
            "nb_iter": 40,
            "norm": math.inf,
            "clip_min": low,
            "clip_max": high,
            "n_classes": order.target.classes,
            "y": torch.from_numpy(order.labels),
            # Its sanity checks raise where float rounding leaves the ball by one part in 10**7.
            "sanity_checks": False,
            "verbose": False,
        },
    )
    seeded(order.seed)
    moved = function(order.module, torch.from_numpy(order.inputs), **settings)
    return np.asarray(moved.detach().numpy(), np.float32)
