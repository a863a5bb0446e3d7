"""Copies made by ART's attacks, with our student and steps."""

import importlib
import importlib.metadata
import importlib.util
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from tasks.attacks.extraction.students import BATCH
from tests.benchmarks.extraction_work import EPOCHS, Copied, Work, asked_of, cut

ART_LEARNING_RATE = 3e-3


class SoftLoss(nn.Module):
    """Cross-entropy against probabilities, which ART would otherwise turn into classes."""

    def forward(self, logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        loss: torch.Tensor = -(wanted * logits.log_softmax(dim=1)).sum(dim=1).mean()
        return loss


def student(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Proofhouse's student, as a network of its own."""
    stride = 2 if shape[1] >= 16 else 1
    side = math.ceil(math.ceil(shape[1] / stride) / 2)
    return nn.Sequential(
        nn.Conv2d(shape[0], 16, 3, stride, 1), nn.ReLU(),
        nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(32 * side * side, 64), nn.ReLU(), nn.Linear(64, classes),
    )  # fmt: skip


class Shifted(nn.Module):
    """Takes raw inputs, centres them and, for a victim, answers probabilities."""

    def __init__(self, inner: nn.Module, *, probabilities: bool) -> None:
        super().__init__()
        self.inner, self.probabilities = inner, probabilities

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        if self.probabilities:
            answers: torch.Tensor = self.inner(raw).softmax(dim=1)
            return answers
        logits: torch.Tensor = self.inner(2 * raw - 1)
        return logits


def by_art(attack: str, *, soft: bool, **more: Any) -> Callable[[Work], Copied]:
    """``more`` are settings of the attack; one that chooses its questions is given the labels."""

    def steal(work: Work) -> Copied:
        classification = importlib.import_module("art.estimators.classification")
        extraction = importlib.import_module("art.attacks.extraction")
        shape, classes = work.target.input_shape, work.target.classes
        assert work.target.module is not None
        victim = classification.PyTorchClassifier(
            Shifted(work.target.module, probabilities=True),
            nn.CrossEntropyLoss(),
            shape,
            classes,
            device_type="cpu",
        )
        torch.manual_seed(0)
        copy = Shifted(student(shape, classes), probabilities=False)
        thief = classification.PyTorchClassifier(
            copy,
            SoftLoss() if soft else nn.CrossEntropyLoss(),
            shape,
            classes,
            optimizer=torch.optim.Adam(copy.parameters(), ART_LEARNING_RATE),
            device_type="cpu",
        )
        stolen = getattr(extraction, attack)(
            victim,
            batch_size_fit=BATCH,
            batch_size_query=256,
            nb_epochs=EPOCHS,
            nb_stolen=work.budget,
            use_probability=soft,
            **more,
        ).extract(
            work.pool[: work.budget],
            work.labels[: work.budget] if more else None,
            thieved_classifier=thief,
        )
        named = stolen.predict(asked_of(work), batch_size=256).argmax(axis=1)
        return Copied(*cut(named, work), work.budget, 2 * EPOCHS * work.budget, {})

    return steal
