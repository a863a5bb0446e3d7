"""Copies: small networks that learn to answer as somebody else does.

A student is chosen by the shape of the input alone, as a thief who knows only the interface would.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Scores, Target, product

STEPS, BATCH = 300, 64
LEARNING_RATE = 3e-3
WIDTH = 64
SMALLEST_IMAGE = 8
Beliefs = NDArray[np.float32]
"""(n, classes): how likely each class is, rows sum to one."""


def taught_by_labels(
    target: Target, *, pool: Images, labels: Labels, held_out: Images, seed: int = 0
) -> Reply:
    """Trains a student on true labels alone: what a thief gets without asking the target.

    Returns:
        Array ``student`` (classes of ``held_out``); value ``queries`` is 0.
    """
    beliefs = np.eye(target.classes, dtype=np.float32)[labels]
    answers = studied(pool, beliefs, held_out, bounds=target.bounds, seed=seed)
    return Reply({"student": answers}, {"queries": 0})


def studied(
    inputs: Images, beliefs: Beliefs, asked: Images, *, bounds: tuple[float, float], seed: int
) -> Labels:
    """Trains a fresh student on ``inputs`` and ``beliefs`` and returns its classes for ``asked``.

    Equal seeds give equal students on one thread. Cost: ``STEPS`` steps of ``BATCH`` rows.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = _student(inputs.shape[1:], beliefs.shape[1])
        _train(student, _centred(inputs, bounds), torch.from_numpy(beliefs))
    student.eval()
    with torch.no_grad():
        parts = _centred(asked, bounds).split(256)
        answers = torch.cat([student(part) for part in parts]).argmax(dim=1)
    labels: Labels = answers.numpy().astype(np.int64)
    return labels


def believed(scores: Scores, *, labels_only: bool) -> Beliefs:
    """Turns a target's answers into what a student learns from."""
    if labels_only:
        named: Beliefs = np.eye(scores.shape[1], dtype=np.float32)[scores.argmax(axis=1)]
        return named
    raised = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    beliefs: Beliefs = (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
    return beliefs


def _train(student: nn.Module, inputs: torch.Tensor, beliefs: torch.Tensor) -> None:
    optimizer = torch.optim.Adam(student.parameters(), LEARNING_RATE)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 + math.cos(math.pi * step / STEPS)) / 2
        rows = torch.randint(len(inputs), (min(BATCH, len(inputs)),))
        optimizer.zero_grad()
        nn.functional.cross_entropy(student(inputs[rows]), beliefs[rows]).backward()
        optimizer.step()


def _student(shape: tuple[int, ...], classes: int) -> nn.Module:
    if len(shape) == 3 and min(shape[1:]) >= SMALLEST_IMAGE:
        # A second halving only where there is enough left to look at.
        stride = 2 if min(shape[1:]) >= 16 else 1
        side = [math.ceil(math.ceil(size / stride) / 2) for size in shape[1:]]
        return nn.Sequential(
            nn.Conv2d(shape[0], 16, 3, stride, 1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * side[0] * side[1], WIDTH),
            nn.ReLU(),
            nn.Linear(WIDTH, classes),
        )
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(product(shape), WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, classes),
    )


def _centred(inputs: Images, bounds: tuple[float, float]) -> torch.Tensor:
    low, high = bounds
    middle, reach = np.float32((low + high) / 2), np.float32((high - low) / 2)
    return torch.from_numpy((np.ascontiguousarray(inputs, np.float32) - middle) / reach)
