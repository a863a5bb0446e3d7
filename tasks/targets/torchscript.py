"""Opens TorchScript archives (``.pt`` with code inside)."""

import warnings
from pathlib import Path

import torch

from tasks.domain.bundle import ModelSpec
from tasks.domain.errors import TargetError
from tasks.targets.torch_target import TorchTarget


def open_torchscript(artifact: Path, _architecture: Path | None, model: ModelSpec) -> TorchTarget:
    """Opens a scripted or traced network on the CPU; its code runs in torch's own interpreter.

    Raises:
        TargetError: Not TorchScript, or not what the bundle says.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch deprecates the format, vendors still ship it
            network = torch.jit.load(str(artifact), map_location="cpu")
            network.float()
    except (RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise TargetError(f"this is not a TorchScript file that opens: {reason}") from error
    return TorchTarget(network, model, kind="torchscript")
