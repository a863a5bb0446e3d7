"""From a layer list and named tensors to a network, after checking that they fit.

Shapes are worked out on the ``meta`` device first: nothing is allocated for a layer that the
tensors do not back, and every mismatch is reported at once.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from tasks.domain.errors import TargetError
from tasks.targets.layer_file import (
    Architecture,
    AvgPool,
    Conv1d,
    Conv2d,
    Layer,
    LayerNorm,
    Linear,
    Norm,
    Strict,
)
from tasks.targets.layer_shapes import answer_of

MOST_PARAMETERS = 500_000_000
MOST_VALUES = 1 << 28
"""Largest number of values between two layers, for one input."""


class Branches(nn.Module):
    """Adds what two branches make of the same input."""

    def __init__(self, layers: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.layers = layers
        self.shortcut = shortcut

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Returns the sum of both branches."""
        total: torch.Tensor = self.layers(inputs) + self.shortcut(inputs)
        return total


def _conv2d(s: Conv2d) -> nn.Module:
    return nn.Conv2d(
        s.in_, s.out, s.kernel, s.stride, s.padding, s.dilation, s.groups, s.bias, device="meta"
    )


def _conv1d(s: Conv1d) -> nn.Module:
    return nn.Conv1d(
        s.in_, s.out, s.kernel, s.stride, s.padding, s.dilation, s.groups, s.bias, device="meta"
    )


def _layer_norm(s: LayerNorm) -> nn.Module:
    shape = s.shape if isinstance(s.shape, tuple) else (s.shape,)
    return nn.LayerNorm(list(shape), eps=s.eps, device="meta")


def _avg_pool(s: AvgPool) -> nn.Module:
    return nn.AvgPool2d(s.kernel, s.stride, s.padding, count_include_pad=s.count_include_pad)


MAKERS: dict[str, Callable[[Any], nn.Module]] = {
    "conv2d": _conv2d,
    "conv1d": _conv1d,
    "linear": lambda s: nn.Linear(s.in_, s.out, s.bias, device="meta"),
    "relu": lambda _: nn.ReLU(),
    "leaky_relu": lambda s: nn.LeakyReLU(s.slope),
    "gelu": lambda s: nn.GELU(s.approximate),
    "silu": lambda _: nn.SiLU(),
    "sigmoid": lambda _: nn.Sigmoid(),
    "tanh": lambda _: nn.Tanh(),
    "softmax": lambda _: nn.Softmax(dim=1),
    "log_softmax": lambda _: nn.LogSoftmax(dim=1),
    "flatten": lambda _: nn.Flatten(),
    "avg_pool2d": _avg_pool,
    "max_pool2d": lambda s: nn.MaxPool2d(s.kernel, s.stride, s.padding, ceil_mode=s.ceil_mode),
    "adaptive_avg_pool2d": lambda s: nn.AdaptiveAvgPool2d(s.output),
    "batch_norm2d": lambda s: nn.BatchNorm2d(s.features, s.eps, affine=s.affine, device="meta"),
    "batch_norm1d": lambda s: nn.BatchNorm1d(s.features, s.eps, affine=s.affine, device="meta"),
    "layer_norm": _layer_norm,
    "dropout": lambda _: nn.Identity(),
    "identity": lambda _: nn.Identity(),
    "zero_pad2d": lambda s: nn.ZeroPad2d(s.padding),
    "reflection_pad2d": lambda s: nn.ReflectionPad2d(s.padding),
}


class Plan(NamedTuple):
    """A network without weights, and the shapes it wants them in."""

    network: nn.Sequential
    wanted: dict[str, tuple[int, ...]]


def plan_network(architecture: Architecture, input_shape: tuple[int, ...], classes: int) -> Plan:
    """Works out every shape of the network for one input, allocating nothing.

    Raises:
        TargetError: A layer does not fit its input, the answer is not (1, classes), or the
            network is larger than the limits; lists every mismatch.
    """
    problems: list[str] = []
    network, answer = _chain(
        architecture.layers, torch.empty(1, *input_shape, device="meta"), problems
    )
    if not problems and tuple(answer.shape) != (1, classes):
        problems.append(f"the last layer answers {tuple(answer.shape)}, expected (1, {classes})")
    wanted = {
        name: tuple(tensor.shape)
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    total = sum(torch.Size(shape).numel() for shape in wanted.values())
    if total > MOST_PARAMETERS:
        problems.append(f"{total} parameters are more than {MOST_PARAMETERS}")
    if problems:
        raise TargetError(f"the layer list does not fit: {'; '.join(problems)}")
    return Plan(network, wanted)


def _chain(
    layers: tuple[Layer, ...], value: torch.Tensor, problems: list[str]
) -> tuple[nn.Sequential, torch.Tensor]:
    modules = []
    for layer in layers:
        module, value = _fitted(layer, value, problems)
        modules.append(module)
    return nn.Sequential(*modules), value


def _fitted(
    layer: Layer, value: torch.Tensor, problems: list[str]
) -> tuple[nn.Module, torch.Tensor]:
    """Builds one layer on ``meta``; after a mismatch goes on with the shape the layer expects."""
    if layer.kind == "residual":
        return _fitted_branches(layer, value, problems)
    if mismatch := _mismatch(layer.settings, value):
        problems.append(f"{layer.title}: {mismatch}")
        value = _as_expected(layer.settings, value)
    try:
        module = MAKERS[layer.kind](layer.settings)
        after = answer_of(module.eval(), value)
    except (RuntimeError, ValueError, IndexError) as error:
        problems.append(f"{layer.title} cannot take {tuple(value.shape)}: {_first_line(error)}")
        return nn.Identity(), value
    if after.numel() > MOST_VALUES:
        problems.append(f"{layer.title} makes {after.numel()} values of one input")
    return module, after


def _fitted_branches(
    layer: Layer, value: torch.Tensor, problems: list[str]
) -> tuple[nn.Module, torch.Tensor]:
    main, left = _chain(layer.layers, value, problems)
    side, right = _chain(layer.shortcut, value, problems)
    if left.shape != right.shape:
        problems.append(
            f"{layer.title}: its branches answer {tuple(left.shape)} and {tuple(right.shape)}"
        )
    return Branches(main, side), left


def _mismatch(settings: Strict, value: torch.Tensor) -> str:
    if isinstance(settings, Linear) and value.shape[-1] != settings.in_:
        return f"takes {settings.in_} features, gets {tuple(value.shape[1:])}"
    if isinstance(settings, Conv2d | Conv1d) and value.shape[1] != settings.in_:
        return f"takes {settings.in_} channels, gets {tuple(value.shape[1:])}"
    if isinstance(settings, Norm) and value.shape[1] != settings.features:
        return f"takes {settings.features} channels, gets {tuple(value.shape[1:])}"
    return ""


def _as_expected(settings: Strict, value: torch.Tensor) -> torch.Tensor:
    if isinstance(settings, Linear):
        return value.new_empty((1, settings.in_))
    if isinstance(settings, Conv2d | Conv1d):
        return value.new_empty((1, settings.in_, *value.shape[2:]))
    if isinstance(settings, Norm):
        return value.new_empty((1, settings.features, *value.shape[2:]))
    return value


def filled(plan: Plan, tensors: Mapping[str, torch.Tensor]) -> nn.Sequential:
    """Returns the network with its weights; ``tensors`` has every wanted name and shape."""
    state = dict(tensors)
    for name in plan.network.state_dict():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.zeros((), dtype=torch.long)
    plan.network.load_state_dict(state, strict=True, assign=True)
    return plan.network.eval()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:300]
