"""Trains a hardened copy of an opened model and returns it as bytes. In the sandbox child only."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tasks.attacks.defences.adversarial_training import Recipe, hardened
from tasks.attacks.defences.art_trades import art_trades
from tasks.domain.bundle import ModelSpec
from tasks.domain.errors import TargetError
from tasks.sandbox.protocol import Array, Reply
from tasks.targets.protocol import Images, Labels, Target
from tasks.targets.safetensors_weights import COUNTERS, tensor_names
from tasks.targets.torch_target import RawScores

TRAINERS = {"adversarial_training": hardened, "art_trades": art_trades}
PROGRAM = "program"
"""Names the bytes of an exported program among the arrays; weights are named as in the file."""


def training(
    target: Target,
    *,
    inputs: Images,
    labels: Labels,
    defence: str,
    artifact: str,
    architecture: str | None,
    model: dict[str, Any],
    epsilon: float,
    epochs: int,
    seed: int,
) -> Reply:
    """Trains a copy from the delivered weights.

    Args:
        target: The delivered model; it stays as it was.
        inputs: (m, …) raw inputs to train on.
        labels: (m,) true classes.
        defence: A key of ``TRAINERS``.
        artifact: Path of the model file, whose tensor names the copy takes.
        architecture: Path of the layer list, for weights without a graph.
        model: ``ModelSpec`` as JSON values.
        epsilon: Radius of the L-infinity ball, in raw units.
        epochs: How long.
        seed: Equal seeds give equal copies on one thread.

    Returns:
        Weights by the names they have in the file; without a layer list the bytes of an exported
        program (``.pt2``) as ``arrays["program"]``. ``values``: what training cost.

    Raises:
        TargetError: The copy cannot be made, trained or written down.
    """
    if defence not in TRAINERS:
        raise TargetError(f"there is no training {defence}; known are {', '.join(TRAINERS)}")
    before = target.meter.forwards, target.meter.backwards
    recipe = Recipe(epsilon=epsilon, epochs=epochs, seed=seed)
    copy = TRAINERS[defence](target, inputs, labels, recipe)
    return written_down(
        copy, target, before=before, artifact=artifact, architecture=architecture, model=model
    )


def written_down(
    copy: nn.Module,
    target: Target,
    *,
    before: tuple[int, int],
    artifact: str,
    architecture: str | None,
    model: dict[str, Any],
) -> Reply:
    """Returns a trained copy as :func:`training` does, and what it cost.

    Args:
        copy: Of ``target.module``, trained.
        target: The delivered model.
        before: What its meter showed when the copy was made: forwards, backwards.
        artifact: Path of the model file.
        architecture: Path of the layer list.
        model: ``ModelSpec`` as JSON values.

    Raises:
        TargetError: The copy cannot be written down.
    """
    meters = [part.meter for part in copy.modules() if isinstance(part, RawScores)]
    forwards = sum(meter.forwards for meter in meters) - before[0] * len(meters)
    backwards = sum(meter.backwards for meter in meters) - before[1] * len(meters)
    network = copy.network
    assert isinstance(network, nn.Module)
    if architecture is None:
        arrays = {PROGRAM: _program(network, target.input_shape)}
    else:
        spec = ModelSpec.model_validate(model)
        names = tensor_names(Path(artifact), Path(architecture), spec)
        arrays = {
            names[name]: value.detach().cpu().numpy()
            for name, value in network.state_dict().items()
            if not name.endswith(COUNTERS)
        }
    return Reply(arrays, {"passes": forwards + backwards, "queries": forwards})


def _program(network: nn.Module, shape: tuple[int, ...]) -> Array:
    example = (torch.zeros(2, *shape),)
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of its own deprecations
            batch = ({0: torch.export.Dim.AUTO},)
            program = torch.export.export(network.eval(), example, dynamic_shapes=batch)
            torch.export.save(program, buffer)
    # The tracer raises whatever the graph makes it raise; for the caller it is one answer.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise TargetError(f"the hardened network cannot be written down: {reason}") from error
    return np.frombuffer(buffer.getvalue(), dtype=np.uint8)
