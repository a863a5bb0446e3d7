"""Opens exported programs (``.pt2``): a graph of torch operators with its weights."""

import warnings
from pathlib import Path
from typing import Any

import torch

from tasks.domain.bundle import ModelSpec
from tasks.domain.errors import TargetError
from tasks.targets.in_batches import InBatches
from tasks.targets.torch_target import TorchTarget


def open_exported(artifact: Path, _architecture: Path | None, model: ModelSpec) -> TorchTarget:
    """Opens an exported program; one exported for a fixed batch size is asked in that size.

    Raises:
        TargetError: Not an exported program, or not what the bundle says.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of its own archive reader
            program = torch.export.load(str(artifact))
            network = _Program(program.module())
    # The reader raises whatever its parsers raise; for the caller it is one answer.
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise TargetError(f"this is not an exported program that opens: {reason}") from error
    batch = _fixed_batch(program)
    wrapped = InBatches(network, batch) if batch is not None else network
    return TorchTarget(wrapped, model, kind="exported program")


class _Program(torch.nn.Module):
    """An exported graph, which is neither in training nor in evaluation mode."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: torch.Tensor) -> Any:
        """Returns whatever the graph answers."""
        return self.network(inputs)

    def train(self, mode: bool = True) -> "_Program":  # noqa: ARG002 - torch's own signature
        """Stays as it is: the mode was fixed at export, and torch refuses to change it."""
        return self


def _fixed_batch(program: torch.export.ExportedProgram) -> int | None:
    names = program.graph_signature.user_inputs
    if len(names) != 1:
        raise TargetError(f"a classifier takes one input, this program takes {len(names)}")
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name == names[0]:
            first = node.meta["val"].shape[0]
            return first if isinstance(first, int) else None
    return None
