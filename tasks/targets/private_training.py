"""Trains a layer list with differential privacy (DP-SGD, Opacus). Runs only in the sandbox child.

The noisy sum of clipped gradients is divided by a public constant, the declared batch size: a
divisor that follows the number of rows would itself tell whether one row is there. Batches are
drawn by Poisson sampling, because that is what the accountants assume.

Source: Abadi et al. 2016, arXiv 1607.00133; ghost clipping: Li et al. 2022, arXiv 2110.05679.
"""

import functools
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from scipy import special
from torch import nn

from tasks.domain.errors import TargetError
from tasks.sandbox.protocol import Array, Reply
from tasks.targets.layer_file import Layer, read_layer_file
from tasks.targets.layers import plan_network

GHOST_FROM = 1_000_000
"""Parameters above which ghost clipping pays: it keeps no gradient of each single row."""
PREDICT_AT_ONCE = 4096


class Budget(NamedTuple):
    """What is spent: epsilon at delta by two accountants, and the settings that spend it."""

    noise_multiplier: float
    sample_rate: float
    steps: int
    prv: float
    rdp: float


def private_training(
    *,
    inputs: Array,
    labels: Array,
    test_inputs: Array,
    test_labels: Array,
    architecture: str,
    classes: int,
    epsilon: float,
    delta: float,
    recipe: dict[str, Any],
    max_gradient_norm: float,
    seed: int,
    secure: bool = False,
    mean: list[float] | None = None,
    std: list[float] | None = None,
) -> Reply:
    """Trains once within (``epsilon``, ``delta``); without noise when ``epsilon`` is 0.

    Args:
        inputs: Rows to learn (rows, …), raw and finite.
        labels: Their classes (rows,).
        test_inputs: Rows to count accuracy on (tests, …).
        test_labels: Their classes (tests,).
        architecture: Path of the layer list; no batch norm, which mixes rows.
        classes: Number of classes.
        epsilon: The budget, by the PRV accountant.
        delta: The budget's second part.
        recipe: ``optimizer``, ``learning_rate``, ``weight_decay``, ``epochs``, ``batch_size``.
        max_gradient_norm: What one row may add to a step.
        seed: Seeds weights, batches and noise; noise ignores it when ``secure``.
        secure: Noise from a cipher keyed by the operating system, so that nobody can redo it.
        mean: Per channel, taken off the raw values.
        std: Per channel, divides them then.

    Returns:
        ``arrays``: the weights by name; ``values``: right, tests, parameters, ghost, and the
        fields of :class:`Budget` (prv and rdp are None without noise).

    Raises:
        TargetError: The layer list cannot be trained privately; the text says how to mend it.
    """
    torch.manual_seed(seed)
    network = _network(architecture, tuple(inputs.shape[1:]), classes)
    budget = _budget(len(inputs), epsilon, delta, recipe)
    x, y = _normalised(inputs, mean, std), torch.from_numpy(labels.astype(np.int64))
    ghost = _train(
        network, x, y, budget, recipe=recipe, norm=max_gradient_norm, secure=secure and epsilon > 0
    )
    guessed = _predicted(network, _normalised(test_inputs, mean, std))
    weights = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    values: dict[str, Any] = budget._asdict()
    if epsilon == 0:
        values |= {"prv": None, "rdp": None}
    return Reply(
        weights,
        values
        | {
            "right": int((guessed == test_labels).sum()),
            "tests": len(test_labels),
            "parameters": sum(value.size for value in weights.values()),
            "ghost": ghost,
        },
    )


def _network(architecture: str, shape: tuple[int, ...], classes: int) -> nn.Sequential:
    layers = read_layer_file(Path(architecture))
    mixing = [layer.title for layer in _all(layers.layers) if layer.kind.startswith("batch_norm")]
    if mixing:
        raise TargetError(
            f"{', '.join(mixing[:5])}: batch norm mixes rows, so no noise protects a single one. "
            "Use layer_norm in its place"
        )
    network = plan_network(layers, shape, classes).network.to_empty(device="cpu")
    for module in network.modules():
        if callable(start := getattr(module, "reset_parameters", None)):
            start()
    return network.train()


def _budget(rows: int, epsilon: float, delta: float, recipe: dict[str, Any]) -> Budget:
    rate = min(1.0, recipe["batch_size"] / rows)
    steps = max(1, round(recipe["epochs"] / rate))
    if epsilon == 0:
        return Budget(0.0, rate, steps, 0.0, 0.0)
    return _spent(rate, steps, epsilon, delta)


@functools.cache
def _spent(rate: float, steps: int, epsilon: float, delta: float) -> Budget:
    """Returns the least noise that keeps within the budget, and what it then spends."""
    # Eight seconds of imports: only who trains privately pays.
    from opacus.accountants import PRVAccountant, RDPAccountant  # noqa: PLC0415
    from opacus.accountants.utils import get_noise_multiplier  # noqa: PLC0415

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        noise = get_noise_multiplier(
            target_epsilon=epsilon,
            target_delta=delta,
            sample_rate=rate,
            steps=steps,
            accountant="prv",
        )
        spent = []
        for accountant in (PRVAccountant(), RDPAccountant()):
            accountant.history = [(noise, rate, steps)]
            spent.append(float(accountant.get_epsilon(delta)))
    return Budget(float(noise), rate, steps, *spent)


def _train(
    network: nn.Sequential,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    budget: Budget,
    *,
    recipe: dict[str, Any],
    norm: float,
    secure: bool,
) -> bool:
    """Trains in place; answers whether ghost clipping was used."""
    if budget.noise_multiplier == 0:
        _train_plainly(network, inputs, labels, budget, recipe)
        return False
    with warnings.catch_warnings():
        # Opacus warns about hooks on inputs without gradients, which is what rows are.
        warnings.simplefilter("ignore")
        ghost = sum(weight.numel() for weight in network.parameters()) >= GHOST_FROM
        _train_privately(
            network, inputs, labels, budget, recipe=recipe, norm=norm, secure=secure, ghost=ghost
        )
    return ghost


def _train_plainly(
    network: nn.Sequential,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    budget: Budget,
    recipe: dict[str, Any],
) -> None:
    optimizer = _optimizer(network, recipe, divisor=1)
    for _ in range(budget.steps):
        rows = torch.rand(len(inputs)) < budget.sample_rate
        if not rows.any():
            continue
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(inputs[rows]), labels[rows]).backward()
        optimizer.step()


def _train_privately(
    network: nn.Sequential,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    budget: Budget,
    *,
    recipe: dict[str, Any],
    norm: float,
    secure: bool,
    ghost: bool,
) -> None:
    from opacus import grad_sample, optimizers  # noqa: PLC0415
    from opacus.utils.fast_gradient_clipping_utils import (  # noqa: PLC0415
        DPLossFastGradientClipping,
    )

    criterion: Any = nn.CrossEntropyLoss(reduction="sum")
    kind: Any = optimizers.DPOptimizerFastGradientClipping if ghost else optimizers.DPOptimizer
    wrapped: Any
    if ghost:
        wrapped = grad_sample.GradSampleModuleFastGradientClipping(
            network, max_grad_norm=norm, use_ghost_clipping=True, loss_reduction="sum"
        )
    else:
        wrapped = grad_sample.GradSampleModule(network, loss_reduction="sum")
    plain = _optimizer(network, recipe, divisor=int(recipe["batch_size"]))
    private = (_secured(kind) if secure else kind)(
        plain,
        noise_multiplier=budget.noise_multiplier,
        max_grad_norm=norm,
        expected_batch_size=None,
        loss_reduction="sum",
    )
    if ghost:
        criterion = DPLossFastGradientClipping(wrapped, private, criterion, "sum")
    average = Average(network, budget.steps)
    for _ in range(budget.steps):
        # Who is in a batch must stay as secret as the noise: the accountant relies on it.
        drawn = (
            torch.from_numpy(_secure_uniform(len(inputs))) if secure else torch.rand(len(inputs))
        )
        rows = drawn < budget.sample_rate
        private.zero_grad(set_to_none=True)
        if rows.any():
            criterion(wrapped(inputs[rows]), labels[rows]).backward()
        else:
            _nobody(wrapped, ghost=ghost)
        private.step()
        average.add()
    wrapped.remove_hooks()
    average.take()


class Average:
    """The mean of the weights over the second half of the steps: noise cancels, and costs nothing.

    Whatever is computed from private steps alone is as private as they are. Source: De et al.
    2022, arXiv 2204.13650, section 4.1 (parameter averaging).
    """

    def __init__(self, network: nn.Module, steps: int) -> None:
        self._weights = list(network.parameters())
        self._sums = [torch.zeros_like(weight) for weight in self._weights]
        self._before, self._count = steps // 2, 0

    def add(self) -> None:
        """Counts the weights as they are after one more step."""
        self._before -= 1
        if self._before >= 0:
            return
        self._count += 1
        with torch.no_grad():
            for total, weight in zip(self._sums, self._weights, strict=True):
                total.add_(weight)

    def take(self) -> None:
        """Puts the means in the place of the weights."""
        with torch.no_grad():
            for total, weight in zip(self._sums, self._weights, strict=True):
                weight.copy_(total / self._count)


def _nobody(wrapped: Any, *, ghost: bool) -> None:
    """An empty batch is noise alone; leaving the step out would tell that nobody was in it."""
    for weight in wrapped.parameters():
        if ghost:
            weight.grad = torch.zeros_like(weight)
        else:
            weight.grad_sample = torch.zeros((0, *weight.shape))


def _secured(kind: Any) -> Any:
    class Secured(kind):  # type: ignore[misc]
        """Adds noise that nobody can redo; four draws hide the gaps between floats.

        Source: Holohan and Braghin 2021, arXiv 2107.10138 (sum of several draws).
        """

        def add_noise(self) -> None:
            """Replaces the seeded noise of the library."""
            for weight in self.params:
                reach = self.noise_multiplier * self.max_grad_norm / 2
                noise = sum(_secure_normal(tuple(weight.shape)) for _ in range(4))
                weight.grad = (weight.summed_grad + reach * noise).view_as(weight)
                weight.summed_grad._processed = True  # noqa: SLF001 - the library's own mark

    return Secured


def _secure_normal(shape: tuple[int, ...]) -> torch.Tensor:
    """Draws standard normal numbers from ChaCha20 under a fresh key of the operating system."""
    normal = special.ndtri(_secure_uniform(int(np.prod(shape))))
    return torch.from_numpy(normal.astype(np.float32).reshape(shape))


def _secure_uniform(count: int) -> Array:
    """Draws numbers strictly between 0 and 1 (count,) from the same cipher."""
    cipher = Cipher(algorithms.ChaCha20(os.urandom(32), os.urandom(16)), mode=None)
    stream = cipher.encryptor().update(bytes(8 * count))
    # 53 bits and a half step: never exactly 0 or 1.
    uniform: Array = ((np.frombuffer(stream, dtype="<u8") >> 11) + 0.5) / 2.0**53
    return uniform


def _optimizer(
    network: nn.Module, recipe: dict[str, Any], *, divisor: int
) -> torch.optim.Optimizer:
    weights = list(network.parameters())
    rate, decay = recipe["learning_rate"], recipe["weight_decay"]
    if recipe["optimizer"] == "sgd":
        return torch.optim.SGD(
            weights, lr=rate / divisor, momentum=0.9, weight_decay=decay * divisor
        )
    # Adam divides by the size of the gradient itself, so a public divisor changes nothing.
    return torch.optim.Adam(weights, lr=rate, weight_decay=decay)


def _normalised(inputs: Array, mean: list[float] | None, std: list[float] | None) -> torch.Tensor:
    centre = np.asarray(mean or [0.0], dtype=np.float32)
    spread = np.asarray(std or [1.0], dtype=np.float32)
    channels = (-1,) + (1,) * (inputs.ndim - 2) if len(centre) > 1 else (1,) * (inputs.ndim - 1)
    return torch.from_numpy(
        ((inputs - centre.reshape(channels)) / spread.reshape(channels)).astype(np.float32)
    )


def _predicted(network: nn.Module, inputs: torch.Tensor) -> Array:
    network.eval()
    with torch.no_grad():
        parts = [network(part).argmax(dim=1) for part in inputs.split(PREDICT_AT_ONCE)]
    guessed: Array = torch.cat(parts).numpy()
    return guessed


def _all(layers: tuple[Layer, ...]) -> list[Layer]:
    return [
        found for layer in layers for found in (layer, *_all(layer.layers), *_all(layer.shortcut))
    ]
