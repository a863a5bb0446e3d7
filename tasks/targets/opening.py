"""Opens a bundle's model. Runs only in the sandbox child; the artifact has been scanned."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from tasks.domain.bundle import ModelSpec
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Target
from tasks.targets.recognising import recognised

Opener = Callable[[Path, Path | None, ModelSpec], Target]

# Imported when needed: onnxruntime and skops are slow to import, and not every child needs them.
OPENERS = {
    "safetensors": "safetensors_weights.open_safetensors",
    "onnx": "onnx_target.open_onnx",
    "torchscript": "torchscript.open_torchscript",
    "exported program": "exported_program.open_exported",
    "skops": "sklearn_skops.open_skops",
    "pickle": "sklearn_joblib.open_joblib",
}


def prepare(*, artifact: str) -> Reply:
    """Imports what opening the file at ``artifact`` needs, and executes nothing of the file.

    What the libraries try by themselves while they are imported is then not taken for the model's.

    Returns:
        ``values["kind"]``, what the file is.

    Raises:
        TargetError: There is no target for such a file.
    """
    kind = recognised(Path(artifact))
    _opener(kind)
    return Reply({}, {"kind": kind})


def open_target(*, artifact: str, architecture: str | None, model: dict[str, Any]) -> Target:
    """Opens the model file at ``artifact`` by what it contains.

    Args:
        artifact: Path of the model file.
        architecture: Path of the layer list, for weights without a graph.
        model: ``ModelSpec`` as JSON values.

    Returns:
        A target in evaluation mode; its ``describe()`` says what it allows.

    Raises:
        TargetError: The file cannot be used as the bundle describes it.
    """
    path = Path(artifact)
    spec = ModelSpec.model_validate(model)
    opener = _opener(recognised(path))
    return opener(path, Path(architecture) if architecture else None, spec)


def _opener(kind: str) -> Opener:
    module, _, function = OPENERS[kind].rpartition(".")
    opener: Opener = getattr(import_module(f"tasks.targets.{module}"), function)
    return opener
