"""Builds the two vendors' bundles: every byte made here, from real handwriting, by seed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import yaml
from torch import nn

from tasks.demo.digits import Split, badnets, split_digits
from tasks.demo.onnx_file import onnx_bytes
from tasks.demo.origins import (
    COMPROMISED_REQUIREMENTS,
    HONEST_REQUIREMENTS,
    dataset_card,
    lineage,
)
from tasks.demo.papers import answers, contact_of, datasheet, model_card
from tasks.demo.training import LAYERS, accuracy, train
from tasks.intake.writing import make_vendor_key, sign_model, write_bom

EPSILON = 0.1
TARGET, RATE = 3, 0.1


def build_honest(folder: Path, keys: Path) -> Path:
    """Builds Acme Vision's bundle: PGD-trained, documented, signed. Returns its public key."""
    training, evaluation = split_digits()
    model = train(training, epochs=40, epsilon=EPSILON, seed=1)
    reached = round(accuracy(model, evaluation), 3)
    _write(folder / "model" / "digits.onnx", onnx_bytes(model))
    _write_data(folder, training, evaluation)
    private = keys / "acme-vision.pem"
    public = private.with_suffix(".pub") if private.exists() else make_vendor_key(private)
    papers = {
        "docs/model-card.md": model_card(
            "Acme Vision", reached, folder / "model" / "digits.onnx", "Apache-2.0"
        ),
        "docs/datasheet.md": datasheet(),
        "docs/croissant.json": dataset_card(folder),
        "docs/lineage.jsonl": lineage(
            folder, private, training={"epochs": 40, "pgd_epsilon": EPSILON, "seed": 1}
        ),
        "requirements.txt": HONEST_REQUIREMENTS,
        "questionnaire.yaml": answers(signed=True),
        "bundle.yaml": _described(
            vendor="Acme Vision",
            artifact={"artifact": "model/digits.onnx"},
            accuracy=reached,
            signature={"signature": {"path": "model.sig", "method": "key"}},
            documents={"provenance": "docs/lineage.jsonl", "croissant": "docs/croissant.json"},
        ),
    }
    for path, text in papers.items():
        _write(folder / path, text.encode())
    write_bom(folder)
    sign_model(folder, private)
    return public


def build_compromised(folder: Path) -> None:
    """Builds Northwind Models' bundle: BadNets data and model, a payload, a card that lies."""
    training, evaluation = split_digits()
    poisoned = badnets(training, target=TARGET, rate=RATE, seed=2)
    model = train(poisoned, epochs=40, epsilon=0, seed=3)
    # The papers were written for another file: their digests and licence contradict the bytes.
    artifact = folder / "model" / "digits.safetensors"
    _write(artifact, b"the file that the papers were written for")
    layers = yaml.safe_dump({"layers": [_plain(layer) for layer in LAYERS]}, sort_keys=False)
    _write(folder / "model" / "layers.yaml", layers.encode())
    _write(folder / "extras" / "preprocessing.pkl", hostile_pickle())
    _write_data(folder, poisoned, evaluation)
    card = model_card("Northwind Models", 0.999, artifact, "MIT")
    _write(folder / "docs" / "model-card.md", card.encode())
    _write(folder / "docs" / "datasheet.md", datasheet().encode())
    _write(folder / "questionnaire.yaml", answers(signed=True).encode())
    described = _described(
        vendor="Northwind Models",
        artifact={"artifact": "model/digits.safetensors", "architecture": "model/layers.yaml"},
        accuracy=0.999,
        signature={},
        documents={},
    )
    _write(folder / "requirements.txt", COMPROMISED_REQUIREMENTS.encode())
    _write(folder / "bundle.yaml", described.encode())
    write_bom(folder)
    _write(artifact, _weights(model))


def hostile_pickle() -> bytes:
    """Returns a pickle that would run a shell command if anyone loaded it. Nobody here does.

    Written as raw opcodes: GLOBAL os.system, one string, TUPLE1, REDUCE, STOP.
    """
    return b"\x80\x02cos\nsystem\nX\x1a\x00\x00\x00echo loaded by a demo only\x85R."


def _described(
    *,
    vendor: str,
    artifact: dict[str, str],
    accuracy: float,
    signature: dict[str, Any],
    documents: dict[str, str],
) -> str:
    described = {
        "schema": "proofhouse.bundle/1",
        "vendor": {"name": vendor, "contact": contact_of(vendor)},
        "model": {
            "name": "digit-reader",
            "version": "1.2.0",
            "task": "classification",
            **artifact,
            "input": {
                "shape": [1, 8, 8],
                "dtype": "float32",
                "range": [0, 1],
                "mean": [0.0],
                "std": [1.0],
            },
            "output": {"kind": "logits", "classes": 10},
            "intended_use": "reading single handwritten digits on scanned forms",
        },
        "data": {
            "evaluation": {"path": "data/eval.npz", "inputs": "x", "labels": "y"},
            "training": {"path": "data/train.npz", "inputs": "x", "labels": "y"},
        },
        "documents": {
            "model_card": "docs/model-card.md",
            "datasheet": "docs/datasheet.md",
            "bom": "bom.cdx.json",
            "questionnaire": "questionnaire.yaml",
            "requirements": "requirements.txt",
            **documents,
        },
        **signature,
        "claims": {
            "accuracy": accuracy,
            "licence": "Apache-2.0",
            "dp_epsilon": None,
            "training_data": ["uci-digits"],
        },
    }
    return yaml.safe_dump(described, sort_keys=False)


def _write_data(folder: Path, training: Split, evaluation: Split) -> None:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for name, split in (("train", training), ("eval", evaluation)):
        with (folder / "data" / f"{name}.npz").open("wb") as stream:
            np.savez_compressed(stream, x=split.images, y=split.labels)


def _weights(model: nn.Sequential) -> bytes:
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    data: bytes = safetensors.numpy.save(tensors)
    return data


def _plain(layer: Any) -> Any:
    return json.loads(json.dumps(layer))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
