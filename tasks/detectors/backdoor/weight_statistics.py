"""What the weights alone say, in milliseconds and without data: information, never a verdict.

Sources: Zheng et al. 2022 (Channel Lipschitz pruning), arXiv 2208.03111, equation 5: channels that
a trigger drives have a large Lipschitz bound; and the last layer, whose row of the target class
differs from its peers' (the place where data-free scanners such as DFBScanner look).
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.detectors.backdoor.sizes import MAD_TO_DEVIATION

LEAST_PEERS = 4
SMALLEST_SPREAD = 0.05
"""Log units. Channels that hardly differ must not make a difference of a percent look odd."""


class WeightStatistics(NamedTuple):
    """Largest robust deviation of a channel and of a class; None where no layer fits."""

    channel: float | None
    last_layer: float | None
    last_layer_class: int | None


def weight_statistics(module: torch.nn.Module, classes: int) -> WeightStatistics:
    """Returns how odd the oddest channel and the oddest row of the last layer are.

    Args:
        module: Its parameters are read; nothing is run.
        classes: Rows that the last layer must have.
    """
    layers = [
        weight.detach().flatten(1).double() for weight in module.parameters() if weight.dim() > 1
    ]
    hidden = [_log_norms(weight) for weight in layers[:-1] if len(weight) >= LEAST_PEERS]
    channels = [float(_deviations(norms).max()) for norms in hidden]
    channel = max(channels) if channels else None
    last = next((weight for weight in layers[::-1] if len(weight) == classes), None)
    if last is None or classes < LEAST_PEERS:
        return WeightStatistics(channel, None, None)
    rows = np.abs(_deviations(_log_norms(last)))
    return WeightStatistics(channel, float(rows.max()), int(rows.argmax()))


def _log_norms(weight: torch.Tensor) -> NDArray[np.float64]:
    """Returns the logarithm of each row's norm (rows,): the Lipschitz bound of that output."""
    norms = weight.norm(dim=1).clamp_min(1e-12).log()
    finite: NDArray[np.float64] = norms.nan_to_num(0.0, 0.0, 0.0).cpu().numpy()
    return finite


def _deviations(values: NDArray[np.float64]) -> NDArray[np.float64]:
    centre = np.median(values)
    spread = MAD_TO_DEVIATION * float(np.median(np.abs(values - centre)))
    deviations: NDArray[np.float64] = (values - centre) / max(SMALLEST_SPREAD, spread)
    return deviations
