"""Trains the demo's small convolutional networks, plainly or against PGD."""

import numpy as np
import torch
from torch import nn

from tasks.demo.digits import Split

LAYERS = (
    {"conv2d": {"in": 1, "out": 16, "kernel": 3, "padding": 1}},
    "relu",
    {"conv2d": {"in": 16, "out": 32, "kernel": 3, "padding": 1}},
    "relu",
    {"max_pool2d": {"kernel": 2}},
    "flatten",
    {"linear": {"in": 512, "out": 64}},
    "relu",
    {"linear": {"in": 64, "out": 10}},
)
"""The network as a bundle's layer list describes it; :func:`network` builds the same."""


def network() -> nn.Sequential:
    """Returns the untrained network: images (n, 1, 8, 8) to logits (n, 10)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def train(split: Split, *, epochs: int, epsilon: float, seed: int) -> nn.Sequential:
    """Trains a network; with ``epsilon`` above 0 on PGD examples (Madry et al. 2018).

    Args:
        split: Training images and labels.
        epochs: Passes over the split.
        epsilon: Radius of the inner attack, in input units (0..1); 0 trains plainly.
        seed: Fixes initialisation, order and random starts.
    """
    torch.manual_seed(seed)
    # Two threads on so small a network cost more in waiting than they save.
    torch.set_num_threads(1)
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    images, labels = torch.from_numpy(split.images), torch.from_numpy(split.labels)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(100):
            batch = images[rows]
            if epsilon:
                batch = _pgd(model, batch, labels[rows], epsilon)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(batch), labels[rows]).backward()
            optimizer.step()
        schedule.step()
    return model.eval()


def accuracy(model: nn.Sequential, split: Split) -> float:
    """Returns the share of a split that the model reads right."""
    with torch.inference_mode():
        predicted = model(torch.from_numpy(split.images)).argmax(1).numpy()
    return float(np.mean(predicted == split.labels))


def _pgd(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epsilon: float, steps: int = 2
) -> torch.Tensor:
    moved = images + torch.empty_like(images).uniform_(-epsilon, epsilon)
    for _ in range(steps):
        moved = moved.clamp(0, 1).detach().requires_grad_(True)
        loss = nn.functional.cross_entropy(model(moved), labels)
        (gradient,) = torch.autograd.grad(loss, moved)
        moved = images + (moved + epsilon / 2 * gradient.sign() - images).clamp(-epsilon, epsilon)
    return moved.clamp(0, 1).detach()
