"""Runs an attack of another toolbox on an opened target. What it answers is a claim like any other.

An order names toolbox and attack: ``art:HopSkipJump``, ``foolbox:LinfPGD``, ``torchattacks:PGD``,
``cleverhans:projected_gradient_descent``.
"""

import importlib
from typing import Any

import numpy as np

from tasks.attacks.evasion.linear_control import linear_distances
from tasks.attacks.providers.order import Order, Refused
from tasks.domain.bundle import ModelSpec
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target, predicted
from tasks.targets.torch_target import TorchTarget

PROVIDERS = ("art", "cleverhans", "foolbox", "torchattacks")
CONTROL_SIDE, CONTROL_CLASSES, CONTROL_POINTS = 6, 4, 24


def provided(
    target: Target,
    *,
    inputs: Images,
    labels: Labels,
    attack: str,
    settings: dict[str, Any],
    epsilon: float,
    seed: int = 0,
) -> Reply:
    """Runs one attack.

    Args:
        target: Victim.
        inputs: (n, …) float32, raw values within ``target.bounds``, correctly classified.
        labels: (n,) true classes.
        attack: ``<toolbox>:<attack>``.
        settings: The toolbox's own settings, as JSON values; ``"inf"`` is infinity.
        epsilon: Largest change in raw units, for attacks with such a setting.
        seed: Seeds the global generators; the toolboxes know no other.

    Returns:
        Arrays ``candidates`` and ``found``; values ``passes``, ``queries``, ``version``, and
        ``missing`` (how to install it) or ``refused`` (why) instead where it could not be run.
    """
    before = target.meter.forwards, target.meter.backwards
    toolbox, _, name = attack.partition(":")
    clean = np.ascontiguousarray(inputs, np.float32)
    values: dict[str, Any] = {}
    moved = clean
    if len(labels):
        order = Order(name, settings, target, clean, labels.astype(np.int64), epsilon, seed)
        moved, values = _carried_out(toolbox, order)
    asked = target.meter.forwards - before[0]
    backwards = target.meter.backwards - before[1]
    found = np.zeros(len(labels), dtype=bool)
    if moved.shape == clean.shape and np.isfinite(moved).all() and len(labels):
        found = predicted(target, moved) != labels
    return Reply(
        {"candidates": moved, "found": found},
        {"passes": asked + backwards, "queries": asked, **values},
    )


def provided_control(
    _target: Target,
    *,
    attack: str,
    settings: dict[str, Any],
    norm: str,
    seed: int = 0,
) -> Reply:
    """Runs the attack on a linear reader of small pictures; the opened target is left alone.

    Args:
        attack: As in :func:`provided`.
        settings: As in :func:`provided`.
        norm: Of the budget: ``linf``, ``l2`` or ``l1``.
        seed: As in :func:`provided`.

    Returns:
        Arrays ``weights``, ``bias``, ``inputs``, ``labels`` and ``candidates``; values ``epsilon``
        (which most points cannot survive) and ``passes``.
    """
    rng = np.random.default_rng([seed, 11])
    size = CONTROL_SIDE * CONTROL_SIDE
    weights = rng.normal(size=(CONTROL_CLASSES, size)).astype(np.float32)
    bias = (-weights.sum(axis=1) / 2).astype(np.float32)
    shape = (CONTROL_POINTS, 1, CONTROL_SIDE, CONTROL_SIDE)
    inputs: Images = rng.uniform(0.3, 0.7, shape).astype(np.float32)
    victim = _linear_reader(weights, bias)
    labels = predicted(victim, inputs)
    flat = inputs.reshape(CONTROL_POINTS, size)
    reach = linear_distances(weights, bias, flat, labels, norm=norm)
    epsilon = float(np.quantile(reach, 0.8))
    reply = provided(
        victim, inputs=inputs, labels=labels, attack=attack, settings=settings, epsilon=epsilon,
        seed=seed,
    )  # fmt: skip
    moved = reply.arrays["candidates"]
    return Reply(
        {
            "weights": weights,
            "bias": bias,
            "inputs": flat,
            "labels": labels,
            "candidates": moved.reshape(flat.shape) if moved.size == flat.size else moved,
        },
        {"epsilon": epsilon, "passes": victim.meter.passes},
    )


def _carried_out(toolbox: str, order: Order) -> tuple[Images, dict[str, Any]]:
    if toolbox not in PROVIDERS:
        return order.inputs, {"refused": f"no toolbox {toolbox}; known are {', '.join(PROVIDERS)}"}
    provider = importlib.import_module(f"tasks.attacks.providers.{toolbox}_provider")
    try:
        moved: Images = provider.attacked(order)
        package = importlib.import_module(toolbox)
    except ModuleNotFoundError as error:
        return order.inputs, {"missing": f"{error.name} is not installed: {provider.INSTALL}"}
    except Refused as reason:
        return order.inputs, {"refused": str(reason)}
    except (TypeError, ValueError, NotImplementedError) as error:
        # Toolboxes answer wrong settings in these ways.
        return order.inputs, {"refused": f"{order.name}: {type(error).__name__}: {error}"}
    return moved, {"version": str(getattr(package, "__version__", "unknown"))}


def _linear_reader(weights: Any, bias: Any) -> TorchTarget:
    import torch  # noqa: PLC0415 - beside its only use

    linear = torch.nn.Linear(weights.shape[1], len(weights))
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(weights))
        linear.bias.copy_(torch.from_numpy(bias))
    model = ModelSpec.model_validate(
        {
            "name": "linear control",
            "version": "1",
            "task": "classification",
            "artifact": "none",
            "input": {"shape": [1, CONTROL_SIDE, CONTROL_SIDE]},
            "output": {"kind": "logits", "classes": len(weights)},
        }
    )
    return TorchTarget(torch.nn.Sequential(torch.nn.Flatten(), linear), model, kind="control")
