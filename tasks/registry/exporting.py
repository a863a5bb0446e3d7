"""Exports an accepted model for a V2 (Open Inference Protocol) server: MLServer, Triton, KServe.

The folder holds the model's files, their OpenSSF signature with the key to verify it, the signed
statements, and the server's own settings. Only what :func:`accepted_model` lets through is
exported. Sources: MLServer model settings reference; Triton model repository and configuration;
KServe InferenceService v1beta1.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

import yaml

from tasks.domain.errors import InvalidInputError
from tasks.registry.place import RegistryPlace
from tasks.registry.serving import AcceptedModel, accepted_model
from tasks.registry.signing import SIGNATURE, trusted_folder

Format = Literal["files", "mlserver", "triton", "kserve"]
_MLSERVER = {".joblib": "mlserver_sklearn.SKLearnModel"}
_TRITON = {".onnx": ("onnxruntime_onnx", "model.onnx"), ".pt": ("pytorch_libtorch", "model.pt")}
_KSERVE = {".onnx": "onnx", ".pt": "pytorch", ".joblib": "sklearn"}
_DATATYPES = {"float32": "FP32", "uint8": "UINT8"}


class _Export(NamedTuple):
    model: AcceptedModel
    folder: Path
    uri: str


def export(
    reference: str, format_: Format, folder: Path, registry: RegistryPlace, *, uri: str = ""
) -> tuple[Path, ...]:
    """Writes a model for a server; returns every file that was written.

    Args:
        reference: As for :func:`accepted_model`.
        format_: ``files`` for the signed files alone, or a server.
        folder: Where to; must not exist yet.
        registry: Where the model is registered.
        uri: Where the server will find the folder (``s3://…``, ``pvc://…``); needed for KServe.

    Raises:
        UnsignedModelError: The model must not be loaded.
        InvalidInputError: The folder exists, or this server cannot run such a model.
    """
    model = accepted_model(reference, registry)
    if model.artifact is None or model.signed.signature is None:
        raise InvalidInputError(f"{model.asset} is behind an address: there is nothing to export.")
    if folder.exists():
        raise InvalidInputError(f"{folder} exists. Give a folder that does not.")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        _signed_files(model, part, registry)
        _WRITERS[format_](_Export(model, part, uri))
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return tuple(sorted(path for path in folder.rglob("*") if path.is_file()))


def _signed_files(model: AcceptedModel, folder: Path, registry: RegistryPlace) -> None:
    named = {
        f"model/{model.spec.artifact}": model.artifact,
        f"model/{model.spec.architecture}": model.architecture,
        f"evidence/{SIGNATURE}": model.signed.signature,
        "evidence/statement.dsse.json": model.signed.statement,
        "evidence/promotion.dsse.json": model.signed.promotion,
    }
    for path, digest in named.items():
        if digest is not None:
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            registry.store.fetch(digest, place)
    key = trusted_folder(registry.home) / f"{model.signed.model_key}.pub"
    shutil.copyfile(key, folder / "evidence" / "model-key.pub")


def _mlserver(told: _Export) -> None:
    suffix = _suffix(told.model, _MLSERVER, "MLServer", "triton or kserve")
    settings = {
        "name": _name(told.model),
        "implementation": _MLSERVER[suffix],
        "parameters": {
            "uri": f"./model/{told.model.spec.artifact}",
            "version": told.model.spec.version,
            "extra": _evidence(told.model),
        },
        "inputs": _inputs(told.model),
    }
    place = told.folder / "model-settings.json"
    place.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _triton(told: _Export) -> None:
    """Writes a model repository: one folder with ``config.pbtxt`` and version 1.

    Triton reads inputs and outputs of an ONNX file from the file itself.
    """
    suffix = _suffix(told.model, _TRITON, "Triton", "mlserver or kserve")
    platform, filename = _TRITON[suffix]
    name = _name(told.model)
    version = told.folder / "repository" / name / "1"
    version.mkdir(parents=True)
    shutil.copyfile(told.folder / "model" / str(told.model.spec.artifact), version / filename)
    lines = [f'name: "{name}"', f'platform: "{platform}"', "max_batch_size: 0"]
    if suffix == ".pt":
        lines += _torch_tensors(told.model)
    (version.parent / "config.pbtxt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _kserve(told: _Export) -> None:
    suffix = _suffix(told.model, _KSERVE, "KServe", "files, behind `proofhouse gateway`")
    if not told.uri:
        raise InvalidInputError("KServe fetches the model itself: give --uri, as s3://bucket/path.")
    service: dict[str, Any] = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": _name(told.model),
            "annotations": {f"proofhouse.dev/{k}": v for k, v in _evidence(told.model).items()},
        },
        "spec": {
            "predictor": {
                "model": {
                    "modelFormat": {"name": _KSERVE[suffix]},
                    "protocolVersion": "v2",
                    "storageUri": told.uri,
                }
            }
        },
    }
    place = told.folder / "inference-service.yaml"
    place.write_text(yaml.safe_dump(service, sort_keys=False), encoding="utf-8")


def _nothing(_: _Export) -> None:
    """The signed files are all."""


_WRITERS: dict[Format, Callable[[_Export], None]] = {
    "files": _nothing,
    "mlserver": _mlserver,
    "triton": _triton,
    "kserve": _kserve,
}


def _suffix(model: AcceptedModel, known: dict[str, Any], server: str, others: str) -> str:
    suffix = PurePosixPath(str(model.spec.artifact)).suffix.lower()
    if suffix not in known:
        raise InvalidInputError(
            f"{server} runs no {suffix or 'such'} file; it takes {', '.join(known)}. Use {others}."
        )
    return suffix


def _inputs(model: AcceptedModel) -> list[dict[str, Any]]:
    spec = model.spec.input
    if spec is None:
        return []
    shape = [-1, *spec.shape]
    return [{"name": "input-0", "datatype": _DATATYPES[spec.dtype], "shape": shape}]


def _torch_tensors(model: AcceptedModel) -> list[str]:
    """Returns Triton's description of a TorchScript model, which tells no shapes itself."""
    shape = ", ".join(
        str(each) for each in (-1, *(model.spec.input.shape if model.spec.input else ()))
    )
    classes = model.spec.output.classes if model.spec.output and model.spec.output.classes else -1
    return [
        f'input [{{ name: "INPUT__0" data_type: TYPE_FP32 dims: [ {shape} ] }}]',
        f'output [{{ name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ -1, {classes} ] }}]',
    ]


def _evidence(model: AcceptedModel) -> dict[str, str]:
    return {
        "asset": model.asset,
        "run": model.run,
        "statement": model.signed.statement,
        "promotion": model.signed.promotion,
        "artifact": str(model.artifact),
    }


def _name(model: AcceptedModel) -> str:
    """Returns a name that every server and DNS take: lower case, digits, dashes."""
    kept = "".join(each if each.isascii() and each.isalnum() else "-" for each in model.model)
    return "-".join(filter(None, kept.lower().split("-")))[:53].strip("-") or "model"
