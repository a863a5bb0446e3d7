"""The shape of what a layer answers, worked out without data.

torch does this on its ``meta`` device. Its rules for the layers named here are Python whose import
takes a second (``tasks/sandbox/lean.py`` leaves it out); for the others they are native.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


def answer_of(module: nn.Module, value: Tensor) -> Tensor:
    """Returns a tensor without data, shaped as what ``module`` answers to ``value``.

    Raises:
        RuntimeError, ValueError: The module cannot take it; says why.
    """
    for kinds, rule in _RULES.items():
        if isinstance(module, kinds):
            return value.new_empty(rule(module, value))
    answer: Tensor = module(value)
    return answer


def _convolved(module: nn.Conv1d | nn.Conv2d, value: Tensor) -> tuple[int, ...]:
    axes = len(module.kernel_size)
    if value.dim() != axes + 2:
        raise ValueError(f"expected {axes + 2} axes, got {value.dim()}")
    assert not isinstance(module.padding, str)  # no layer file can say "same"
    sides = tuple(
        (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        for size, padding, dilation, kernel, stride in zip(
            value.shape[2:],
            module.padding,
            module.dilation,
            module.kernel_size,
            module.stride,
            strict=True,
        )
    )
    if min(sides) < 1:
        raise ValueError(f"nothing is left: its answer would measure {sides}")
    return (len(value), module.out_channels, *sides)


def _pooled(module: nn.AdaptiveAvgPool2d, value: Tensor) -> tuple[int, ...]:
    size: Any = module.output_size
    sides = size if isinstance(size, tuple) else (size, size)
    if value.dim() not in {3, 4} and sides != (1, 1):
        raise ValueError(f"expected 3 or 4 axes, got {value.dim()}")
    return (*value.shape[:-2], *sides)


def _mirrored(module: nn.ReflectionPad2d, value: Tensor) -> tuple[int, ...]:
    left, right, top, bottom = module.padding
    if value.dim() not in {3, 4}:
        raise ValueError(f"expected 3 or 4 axes, got {value.dim()}")
    *others, height, width = value.shape
    if max(left, right) >= width or max(top, bottom) >= height:
        raise ValueError(f"a side of {(height, width)} is too short to mirror {module.padding}")
    return (*others, top + height + bottom, left + width + right)


def _layer_normalised(module: nn.LayerNorm, value: Tensor) -> tuple[int, ...]:
    wanted = tuple(module.normalized_shape)
    if tuple(value.shape[-len(wanted) :]) != wanted:
        raise ValueError(f"expected last axes {wanted}, got {tuple(value.shape[-len(wanted) :])}")
    return tuple(value.shape)


def _normalised(module: nn.BatchNorm1d | nn.BatchNorm2d, value: Tensor) -> tuple[int, ...]:
    module._check_input_dim(value)  # noqa: SLF001  - all that tells the two classes apart
    return tuple(value.shape)


def _kept(_: nn.Module, value: Tensor) -> tuple[int, ...]:
    return tuple(value.shape)


_RULES: dict[tuple[type[nn.Module], ...], Callable[[Any, Tensor], tuple[int, ...]]] = {
    (nn.Conv1d, nn.Conv2d): _convolved,
    (nn.BatchNorm1d, nn.BatchNorm2d): _normalised,
    (nn.LayerNorm,): _layer_normalised,
    (nn.AdaptiveAvgPool2d,): _pooled,
    (nn.ReflectionPad2d,): _mirrored,
    (nn.ReLU, nn.LeakyReLU): _kept,
}
