"""Shadow models of a given architecture, trained as one stack. Runs only in the sandbox child.

All models share one graph and hold their weights side by side, so one batched product trains them
together. Must run before the target is opened: what it returns is kept for
later versions of the asset, and a hostile model must not have a say in it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.func import replace_all_batch_norm_modules_

from tasks.attacks.inference.side_by_side import Stack, fresh_weights, reset, side_by_side
from tasks.attacks.inference.signals import confidence, loss
from tasks.attacks.inference.views import SHIFTS, shifted, views
from tasks.domain.errors import TargetError
from tasks.sandbox.protocol import Array, Reply
from tasks.targets.layer_file import Dropout, Layer, read_layer_file
from tasks.targets.layers import Branches, plan_network

MOST_PRODUCTS = 2e11
"""Multiplications that one model may cost; an architecture that costs more gets the stand-in."""
VALUES_AT_ONCE = 1 << 27
"""Activations held at once: the stack is split into groups of models that fit."""
STAND_IN_HIDDEN = 128


class Recipe(NamedTuple):
    """How every shadow model is trained."""

    optimizer: str
    learning_rate: float
    weight_decay: float
    epochs: int
    batch_size: int
    augmentation: str = "none"


def shadow_stack(
    *,
    inputs: Array,
    labels: Array,
    members: NDArray[np.bool_],
    classes: int,
    recipe: dict[str, Any],
    seed: int,
    looks: int = 1,
    architecture: str | None = None,
    mean: list[float] | None = None,
    std: list[float] | None = None,
) -> Reply:
    """Trains one model per row of ``members``; returns what each says of every item.

    Args:
        inputs: Items (items, …), raw and finite.
        labels: Classes (items,), 0 to ``classes`` - 1.
        members: Which model learns which items (models, items).
        classes: Number of classes.
        recipe: Fields of :class:`Recipe`. Cost: 3 * models * members * epochs passes of networks
            that are not the target, so no query.
        seed: Seeds weights and batches.
        looks: How many views of every item are asked about, see ``views``.
        architecture: Path of the layer list; a perceptron stands in for it when left out, when it
            cannot be read, or when it would cost more than ``MOST_PRODUCTS``.
        mean: Per channel, taken off the raw values.
        std: Per channel, divides them then.

    Returns:
        ``arrays["confidence"]`` (models, looks, items) and ``arrays["log_probability"]`` (models,
        items, of the plain view) float32, see ``signals``; ``values["architecture"]`` says what
        was trained, ``values["diverged"]`` how many models answer no numbers (0 stands for those).
    """
    how = Recipe(**recipe)
    asked = [_normalised(view, mean or [0.0], std or [1.0]) for view in views(inputs, looks)]
    items = asked[0]
    shape = tuple(items.shape[1:])
    passes = 3 * int(members.sum(axis=1).max()) * how.epochs + looks * len(items)
    network, told = _network(architecture, shape, classes, passes)
    at_once = _models_at_once(network, items[:1], how.batch_size)
    targets = torch.from_numpy(labels.astype(np.int64))
    sure, logs, diverged = [], [], 0
    for first in range(0, len(members), at_once):
        part = members[first : first + at_once]
        weights = _trained(network, items, targets, part, how=how, seed=seed + first)
        scores = [_answers(network, weights, view) for view in asked]
        diverged += int((~np.isfinite(scores[0])).any(axis=(1, 2)).sum())
        scores = [np.nan_to_num(one, posinf=0, neginf=0) for one in scores]
        spread = np.broadcast_to(labels, scores[0].shape[:2])
        sure.append(np.stack([confidence(one, spread) for one in scores], axis=1))
        logs.append(loss(scores[0], spread))
    return Reply(
        {
            "confidence": np.concatenate(sure).astype(np.float32),
            "log_probability": np.concatenate(logs).astype(np.float32),
        },
        {"architecture": told, "diverged": diverged},
    )


def _normalised(inputs: Array, mean: list[float], std: list[float]) -> torch.Tensor:
    per_channel = (-1,) + (1,) * (inputs.ndim - 2) if len(mean) > 1 else (1,) * (inputs.ndim - 1)
    centre = np.asarray(mean, np.float32).reshape(per_channel)
    return torch.from_numpy((inputs - centre) / np.asarray(std, np.float32).reshape(per_channel))


def _network(
    architecture: str | None, shape: tuple[int, ...], classes: int, passes: int
) -> tuple[nn.Module, str]:
    width = int(np.prod(shape))
    stand_in = nn.Sequential(
        nn.Flatten(),
        nn.Linear(width, STAND_IN_HIDDEN),
        nn.ReLU(),
        nn.Linear(STAND_IN_HIDDEN, classes),
    )
    if architecture is None:
        return stand_in, f"stand-in perceptron with {STAND_IN_HIDDEN} hidden units"
    try:
        layers = read_layer_file(Path(architecture))
        network = plan_network(layers, shape, classes).network
    except TargetError as error:
        return stand_in, f"stand-in perceptron: {error.message[:300]}"
    cost = passes * _products(network, torch.empty(1, *shape, device="meta"))
    if cost > MOST_PRODUCTS:
        return stand_in, f"stand-in perceptron: the layer list would cost {cost:.1e} products"
    _with_dropout(network, layers.layers)
    network = network.to_empty(device="cpu")
    if len(shape) == 1:
        # Does nothing to a row of numbers, and says that every item is one.
        network = nn.Sequential(nn.Flatten(), *network)
    return replace_all_batch_norm_modules_(network), "the bundle's layer list"


def _with_dropout(network: nn.Module, layers: tuple[Layer, ...]) -> None:
    """Targets are evaluated, so their dropout does nothing; here it belongs to the recipe."""
    for place, layer in enumerate(layers):
        assert isinstance(network, nn.Sequential)
        module = network[place]
        if isinstance(layer.settings, Dropout):
            network[place] = nn.Dropout(layer.settings.p)
        elif isinstance(module, Branches):
            _with_dropout(module.layers, layer.layers)
            _with_dropout(module.shortcut, layer.shortcut)


def _products(network: nn.Module, item: torch.Tensor) -> int:
    """Returns the multiplications of one forward pass of one item."""
    total = 0

    def count(module: nn.Module, _: Any, answer: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            total += answer.numel() * module.weight[0].numel()

    _watched(network, item, count)
    return total


def _models_at_once(network: nn.Module, item: torch.Tensor, batch: int) -> int:
    values = 0

    def count(_module: nn.Module, _: Any, answer: torch.Tensor) -> None:
        nonlocal values
        values += answer.numel()

    with torch.no_grad():
        reset(network)
        _watched(network, item, count)
    weights = sum(parameter.numel() for parameter in network.parameters())
    return int(max(1, VALUES_AT_ONCE // (2 * batch * max(values, 1) + 4 * weights)))


def _watched(network: nn.Module, item: torch.Tensor, hook: Any) -> None:
    leaves = [module for module in network.modules() if not list(module.children())]
    handles = [module.register_forward_hook(hook) for module in leaves]
    network.eval()(item)
    for handle in handles:
        handle.remove()


def _trained(
    network: nn.Module,
    items: torch.Tensor,
    targets: torch.Tensor,
    members: NDArray[np.bool_],
    *,
    how: Recipe,
    seed: int,
) -> Stack:
    """Returns the weights of a freshly trained group."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    weights = fresh_weights(network, len(members))
    network.train()
    each = side_by_side(network)
    optimizer = _optimizer(how, list(weights.values()))
    for rows, counted in _batches(members, how, rng):
        optimizer.zero_grad(set_to_none=True)
        logits = each(weights, _moved(items, how, rng)[rows])
        losses = nn.functional.cross_entropy(
            logits.transpose(1, 2), targets[rows], reduction="none"
        )
        # The sum over models keeps each model's gradient its own.
        (losses * counted).sum().backward()
        optimizer.step()
    return weights


def _moved(items: torch.Tensor, how: Recipe, rng: np.random.Generator) -> torch.Tensor:
    """Returns the items as this step sees them: pictures are moved where the recipe says so."""
    if how.augmentation == "none" or items.ndim != 4:
        return items
    place = int(rng.integers(len(SHIFTS) + 1))
    if place == len(SHIFTS):
        return items
    return torch.from_numpy(shifted(items.numpy(), *SHIFTS[place]))


def _answers(network: nn.Module, weights: Stack, items: torch.Tensor) -> Array:
    """Returns logits (models, items, classes)."""
    network.eval()
    each, models = side_by_side(network), len(next(iter(weights.values())))
    with torch.no_grad():
        parts = [
            each(weights, part.expand(models, *part.shape))
            for part in items.split(max(1, 8192 // models))
        ]
    scores: Array = torch.cat(parts, dim=1).numpy()
    return scores


def _optimizer(how: Recipe, weights: list[torch.Tensor]) -> torch.optim.Optimizer:
    if how.optimizer == "sgd":
        return torch.optim.SGD(
            weights, lr=how.learning_rate, momentum=0.9, weight_decay=how.weight_decay
        )
    # One pass over the weights instead of ten: they are read from memory at each step.
    return torch.optim.Adam(
        weights, lr=how.learning_rate, weight_decay=how.weight_decay, fused=True
    )


def _batches(
    members: NDArray[np.bool_], how: Recipe, rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yields row numbers (models, batch) and the weight of each row in its model's mean."""
    rows = [np.flatnonzero(one) for one in members]
    most = max(len(one) for one in rows)
    for _ in range(how.epochs):
        order = np.zeros((len(rows), most), dtype=np.int64)
        real = np.zeros((len(rows), most), dtype=np.float32)
        for model, own in enumerate(rows):
            order[model, : len(own)] = rng.permutation(own)
            real[model, : len(own)] = 1
        for at in range(0, most, how.batch_size):
            counted = real[:, at : at + how.batch_size]
            share = counted / np.maximum(counted.sum(axis=1, keepdims=True), 1)
            yield torch.from_numpy(order[:, at : at + how.batch_size]), torch.from_numpy(share)
