"""Attacks of Foolbox."""

import importlib
import inspect
import os
from typing import Any

import numpy as np
import torch

from tasks.attacks.providers.order import Order, one_of, seeded
from tasks.targets.protocol import Images

INSTALL = "pip install --no-deps foolbox==3.3.4 eagerpy==0.30.0"


def attacked(order: Order) -> Images:
    """Runs the attack class ``order.name`` of ``foolbox.attacks``.

    Raises:
        Refused: There is no such attack, or it does not take these settings or this target.
    """
    # It downloads through git, which is not there; without this its import fails for that alone.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    foolbox: Any = importlib.import_module("foolbox")
    known = {
        name
        for name, found in vars(foolbox.attacks).items()
        if isinstance(found, type) and issubclass(found, foolbox.attacks.base.Attack)
    }
    attack_class = getattr(foolbox.attacks, one_of(known, order.name, "Foolbox"))
    parameters = set(inspect.signature(attack_class.__init__).parameters) - {"self"}
    settings = order.filled(parameters, {})
    seeded(order.seed)
    model = foolbox.PyTorchModel(order.module.eval(), bounds=order.target.bounds, device="cpu")
    inputs, labels = torch.from_numpy(order.inputs), torch.from_numpy(order.labels)
    criterion = foolbox.criteria.Misclassification(labels)
    _, moved, _ = attack_class(**settings)(model, inputs, criterion, epsilons=[order.epsilon])
    return np.asarray(moved[0].detach().numpy(), np.float32)
