"""Random people with random labels: whatever a model knows of them, it knows by heart."""

import functools

import numpy as np
import safetensors.torch
import torch
import yaml

from tests.tasks.checks.benches import Rows

WIDTH = 120
LAYERS = [{"linear": {"in": WIDTH, "out": 64}}, "relu", {"linear": {"in": 64, "out": 2}}]


@functools.cache
def people(rows: int) -> tuple[Rows, Rows]:
    """As many members as others, from one source; three labels in ten are by lot."""
    rng = np.random.default_rng(5)
    inputs = rng.normal(size=(2 * rows, WIDTH)).astype(np.float32)
    labels = (inputs[:, :3].sum(axis=1) > 0).astype(np.int64)
    wrong = rng.uniform(size=len(labels)) < 0.3
    labels[wrong] = rng.integers(0, 2, int(wrong.sum()))
    return (inputs[:rows], labels[:rows]), (inputs[rows:], labels[rows:])


@functools.cache
def model(rows: int, steps: int) -> dict[str, bytes]:
    """A perceptron after so many full-batch steps on the members, as the files of a bundle."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(WIDTH, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2)
    )
    (inputs, labels), _ = people(rows)
    x, y = torch.from_numpy(inputs), torch.from_numpy(labels)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    return {
        "model.safetensors": safetensors.torch.save(network.state_dict()),
        "layers.yaml": yaml.safe_dump({"layers": LAYERS}).encode(),
    }
