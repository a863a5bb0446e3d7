"""Recomputes a claimed epsilon from the declared recipe. Runs only in the sandbox child.

Two independent accountants of Opacus: numerical composition (Gopi et al. 2021, arXiv 2106.02848)
for the value, Rényi (Mironov 2017, arXiv 1702.07476) as a cross-check that must lie above it.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tasks.domain.errors import TargetError
from tasks.sandbox.protocol import Reply
from tasks.targets.layer_file import Layer, read_layer_file

WITHOUT_BOUND = 1e6
"""Stands for infinity: JSON has none."""


def dp_accounting(
    *_target: Any,
    noise_multiplier: float,
    sample_rate: float,
    steps: int,
    delta: float,
    architecture: str | None = None,
) -> Reply:
    """Returns ``values["prv"]`` and ``values["rdp"]``, upper bounds on epsilon at ``delta``.

    ``values["mixing"]`` names layers that mix the rows of a batch, which per-example clipping does
    not bound. Shuffled batches are accounted as ``sample_rate`` 1 by the caller.
    """
    # Eight seconds of imports: only who asks for it pays.
    from opacus.accountants import PRVAccountant, RDPAccountant  # noqa: PLC0415

    mixing = _mixing(architecture)
    if noise_multiplier <= 0:
        return Reply({}, {"prv": WITHOUT_BOUND, "rdp": WITHOUT_BOUND, "mixing": mixing})
    found: dict[str, Any] = {"mixing": mixing}
    for name, accountant in (("prv", PRVAccountant()), ("rdp", RDPAccountant())):
        accountant.history = [(noise_multiplier, sample_rate, steps)]
        try:
            # Without sampling the library takes the logarithm of 0 on its way to the right answer.
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                epsilon = float(accountant.get_epsilon(delta))
        except (ValueError, RuntimeError, MemoryError, OverflowError):
            # Next to no noise: the composition leaves the numbers' range.
            epsilon = WITHOUT_BOUND
        found[name] = min(epsilon, WITHOUT_BOUND) if epsilon == epsilon else WITHOUT_BOUND  # noqa: PLR0124
    return Reply({}, found)


def _mixing(architecture: str | None) -> list[str]:
    if architecture is None:
        return []
    try:
        layers = read_layer_file(Path(architecture)).layers
    except TargetError:
        return []
    return [layer.title for layer in _all(layers) if layer.kind.startswith("batch_norm")]


def _all(layers: tuple[Layer, ...]) -> list[Layer]:
    return [
        found for layer in layers for found in (layer, *_all(layer.layers), *_all(layer.shortcut))
    ]
