"""Small real models and benches for tests: handwritten digits, trained in about a second."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
import yaml
from sklearn.datasets import load_digits
from torch import nn

from tasks.catalog.reading import Catalog
from tasks.catalog.resolving import resolve_parameters
from tasks.checks.lab import Examples, Lab
from tasks.domain.bundle import BundleSpec, Dataset, FileEntry, Subject
from tasks.domain.digest import digest_of_file
from tasks.domain.spec import Parameter
from tasks.sandbox.protocol import Array
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore

LAYERS: list[Any] = [
    {"conv2d": {"in": 1, "out": 8, "kernel": 3, "padding": 1}},
    "relu",
    {"max_pool2d": {"kernel": 2}},
    {"conv2d": {"in": 8, "out": 16, "kernel": 3, "padding": 1}},
    "relu",
    "flatten",
    {"linear": {"in": 256, "out": 10}},
]


class Digits(NamedTuple):
    """8 by 8 digits in [0, 1]: 1,000 rows to train on, 797 to test."""

    train: Examples
    test: Examples


@functools.cache
def digits() -> Digits:
    table = load_digits()
    order = np.random.default_rng(0).permutation(len(table.target))
    inputs = (table.images[order, None] / 16).astype(np.float32)
    labels = table.target[order].astype(np.int64)
    return Digits(Examples(inputs[:1000], labels[:1000]), Examples(inputs[1000:], labels[1000:]))


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


@functools.cache
def trained(*, adversarial_epsilon: float = 0.0, epochs: int = 25) -> nn.Sequential:
    """Returns a network trained on digits; with an epsilon, on one-step moved inputs."""
    torch.manual_seed(0)
    model = network()
    inputs = torch.from_numpy(digits().train.inputs)
    labels = torch.from_numpy(digits().train.labels)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(100):
            x, y = inputs[rows], labels[rows]
            if adversarial_epsilon:
                x = _moved(model, x, y, adversarial_epsilon)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model.eval()


def _moved(model: nn.Module, x: torch.Tensor, y: torch.Tensor, epsilon: float) -> torch.Tensor:
    start = (x + epsilon * (2 * torch.rand_like(x) - 1)).requires_grad_()
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(model(start), y), start)
    moved = start + 1.25 * epsilon * gradient.sign()
    return torch.min(torch.max(moved, x - epsilon), x + epsilon).clamp(0, 1).detach()


def description(
    *,
    shape: tuple[int, ...] = (1, 8, 8),
    classes: int = 10,
    kind: str = "logits",
    artifact: str = "model.safetensors",
    **input_settings: Any,
) -> dict[str, Any]:
    """Returns ``model`` of a bundle."""
    return {
        "name": "digits",
        "version": "1",
        "task": "classification",
        "artifact": artifact,
        "architecture": "layers.yaml" if artifact.endswith(".safetensors") else None,
        "input": {"shape": list(shape), **input_settings},
        "output": {"kind": kind, "classes": classes},
    }


def write_model(folder: Path, model: nn.Module, layers: list[Any] | None = None) -> None:
    """Writes ``model.safetensors`` and ``layers.yaml``."""
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    safetensors.torch.save_file(state, folder / "model.safetensors")
    (folder / "layers.yaml").write_text(yaml.safe_dump({"layers": layers or LAYERS}))


def lab_for(
    folder: Path,
    check: str,
    *,
    model: Mapping[str, Any],
    evaluation: Examples,
    parameters: Mapping[str, Parameter] | None = None,
    seed: int = 0,
) -> Lab:
    """Returns a bench over the model files in ``folder``, with the catalog's own defaults."""
    store = MemoryStore()
    paths = [str(model[name]) for name in ("artifact", "architecture") if model.get(name)]
    files = []
    for path in paths:
        ref = store.put_file(folder / path)
        files.append(
            FileEntry(path=path, digest=digest_of_file(folder / path), size_bytes=ref.size_bytes)
        )
    entry = Catalog().check(check)
    workspace = folder / "workspace"
    workspace.mkdir(exist_ok=True)
    return Lab(
        subject=Subject(
            spec=_spec(model), files=tuple(files), datasets=(_stored(store, evaluation),)
        ),
        store=store,
        sandbox=DirectSandbox(),
        workspace=workspace,
        parameters=resolve_parameters(entry, parameters or {}),
        seed=seed,
    )


def _spec(model: Mapping[str, Any]) -> BundleSpec:
    return BundleSpec.model_validate(
        {
            "schema": "proofhouse.bundle/1",
            "vendor": {"name": "Acme", "contact": "security@acme.example"},
            "model": dict(model),
        }
    )


def _stored(store: MemoryStore, examples: Examples) -> Dataset:
    tensors: dict[str, Array] = {
        "inputs": np.ascontiguousarray(examples.inputs),  # safetensors writes raw memory
        "labels": examples.labels,
    }
    digest = store.put(safetensors.numpy.save(tensors)).digest
    return Dataset(
        role="evaluation",
        path="eval.npz",
        source=digest,
        digest=digest,
        rows=len(examples.labels),
    )
