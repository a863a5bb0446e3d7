"""Small models trained on known halves of the data, all at once. Runs only in the sandbox child.

All models of a call are one stack of weights, so one batched matrix product trains them together
(methods notes, section 3.3).
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.sandbox.protocol import Array, Reply

FEATURES = 128
"""Wider inputs are projected at random to this many numbers; distances survive that."""
LEARNING_RATE = 0.01


def shadow_scores(
    *_target: Any,
    inputs: Array,
    labels: Array,
    members: NDArray[np.bool_],
    classes: int,
    hidden: int,
    steps: int,
    seed: int,
) -> Reply:
    """Trains one perceptron per row of ``members`` and returns what each answers for all items.

    Args:
        inputs: Items (items, …), finite.
        labels: Classes (items,), 0 to ``classes`` - 1.
        members: Which model learns which items (models, items); each model learns at least one.
        classes: Number of classes.
        hidden: Hidden units of each model.
        steps: Full-batch steps of Adam. Cost: about 3 * models * members * steps passes of a
            model that is not the target, so no query.
        seed: Seeds weights and projection. Equal seeds give equal answers on one machine.

    Returns:
        ``arrays["scores"]`` (models, items, classes) float32, logits.
    """
    items = _features(inputs, seed)
    generator = torch.Generator().manual_seed(seed)
    weights = _weights(len(members), items.shape[1], hidden, classes, generator)
    targets = torch.from_numpy(labels.astype(np.int64))
    # Models may learn different numbers of items: short rows are filled up with weight 0.
    most = int(members.sum(axis=1).max())
    order = torch.from_numpy(np.argsort(~members, axis=1, kind="stable")[:, :most].copy())
    counted = torch.from_numpy(np.take_along_axis(members, order.numpy(), axis=1)).float()
    _train(weights, items[order], targets[order], counted, steps)
    with torch.no_grad():
        answers = _forward(weights, items.expand(len(members), *items.shape))
    return Reply({"scores": answers.numpy()}, {})


def _features(inputs: Array, seed: int) -> torch.Tensor:
    flat = inputs.reshape(len(inputs), -1).astype(np.float64)
    if flat.shape[1] > FEATURES:
        rng = np.random.default_rng(seed)
        flat = flat @ rng.normal(0, flat.shape[1] ** -0.5, (flat.shape[1], FEATURES))
    scale = flat.std(axis=0)
    scaled = (flat - flat.mean(axis=0)) / np.where(scale > 1e-9, scale, 1)
    return torch.from_numpy(scaled.astype(np.float32))


def _weights(
    models: int, width: int, hidden: int, classes: int, generator: torch.Generator
) -> list[torch.Tensor]:
    shapes = [(models, width, hidden), (models, 1, hidden), (models, hidden, classes)]
    made = [torch.randn(shape, generator=generator) for shape in shapes]
    made[0] *= (2 / width) ** 0.5
    made[2] *= (2 / hidden) ** 0.5
    made.append(torch.zeros(models, 1, classes))
    return [weight.requires_grad_() for weight in made]


def _forward(weights: list[torch.Tensor], items: torch.Tensor) -> torch.Tensor:
    first, first_bias, second, second_bias = weights
    return torch.relu(items @ first + first_bias) @ second + second_bias


def _train(
    weights: list[torch.Tensor],
    items: torch.Tensor,
    targets: torch.Tensor,
    counted: torch.Tensor,
    steps: int,
) -> None:
    optimizer = torch.optim.Adam(weights, lr=LEARNING_RATE)
    share = counted / counted.sum(dim=1, keepdim=True)
    for _ in range(steps):
        optimizer.zero_grad()
        losses = torch.nn.functional.cross_entropy(
            _forward(weights, items).transpose(1, 2), targets, reduction="none"
        )
        # The sum over models keeps each model's gradient its own.
        (losses * share).sum().backward()
        optimizer.step()
