"""Many models of one architecture as one computation: weights side by side, a batch for each.

Any architecture runs through ``torch.func``. A perceptron is composed by hand: its weights lie
inputs first, the order in which their gradient is computed, so a step copies nothing. The copy
that ``torch.func`` makes takes as long as the products themselves.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.func import functional_call, vmap

Stack = dict[str, torch.Tensor]
"""Weights by name, each (models, …)."""
Answer = Callable[[Stack, torch.Tensor], torch.Tensor]
"""Takes weights and items (models, items, …), returns logits (models, items, classes)."""
ELEMENT_BY_ELEMENT = (
    nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Dropout, nn.Identity,
)  # fmt: skip


def is_perceptron(network: nn.Module) -> bool:
    """Returns whether every layer sees an item as a row of numbers."""
    layers = list(network.children()) if isinstance(network, nn.Sequential) else []
    return (
        len(layers) > 0
        and isinstance(layers[0], nn.Flatten)
        and all(isinstance(layer, (nn.Linear, *ELEMENT_BY_ELEMENT)) for layer in layers[1:])
    )


def reset(network: nn.Module) -> None:
    """Draws the weights of every layer anew."""
    for module in network.modules():
        if callable(start := getattr(module, "reset_parameters", None)):
            start()


def fresh_weights(
    network: nn.Module, models: int, *, draw: Callable[[nn.Module], object] = reset
) -> Stack:
    """Returns weights drawn model by model, by ``draw``, which changes ``network`` in place.

    Layers draw their own unless told otherwise; a vendor's graph may have none that can.
    """
    drawn = []
    for _ in range(models):
        draw(network)
        drawn.append({name: value.detach().clone() for name, value in network.named_parameters()})
    stacked = {name: torch.stack([one[name] for one in drawn]) for name in drawn[0]}
    if is_perceptron(network):
        stacked = {
            name: value.transpose(1, 2).contiguous() if value.ndim == 3 else value
            for name, value in stacked.items()
        }
    return {name: value.requires_grad_() for name, value in stacked.items()}


def side_by_side(network: nn.Module) -> Answer:
    """Returns the computation of all models, in the network's mode, for ``fresh_weights``."""
    if is_perceptron(network):
        return _perceptrons(network)
    buffers = dict(network.named_buffers())

    def answer(one: Stack, batch: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = functional_call(network, (one, buffers), (batch,))
        return logits

    return vmap(answer, in_dims=(0, 0), randomness="different")


def _perceptrons(network: nn.Module) -> Answer:
    def answer(weights: Stack, batch: torch.Tensor) -> torch.Tensor:
        rows = batch.flatten(2)
        for name, layer in network.named_children():
            if isinstance(layer, nn.Linear):
                rows = _linear(weights, name, rows)
            elif not isinstance(layer, nn.Flatten):
                rows = layer(rows)
        return rows

    return answer


def _linear(weights: Stack, name: str, rows: torch.Tensor) -> torch.Tensor:
    weight, bias = weights[f"{name}.weight"], weights.get(f"{name}.bias")
    return rows @ weight if bias is None else torch.baddbmm(bias.unsqueeze(1), rows, weight)
