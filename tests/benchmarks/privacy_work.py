"""Location-30 and the two targets on which membership attacks are compared."""

import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.attacks.inference.deciding import votes
from tasks.attacks.inference.signals import correctness, loss, modified_entropy
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import Floats
from tasks.statistics.roc import auc, tpr_at_fpr
from tests.benchmarks.privacy_rows import (
    RECIPE,
)

ROWS, CLASSES = 2000, 30
LOOKS = 4
Mask = NDArray[np.bool_]
PUBLISHED = {
    "correctness": 0.687, "class-wise confidence": 0.763, "class-wise modified entropy": 0.781,
    "auc of confidence": 0.870, "auc of modified entropy": 0.871,
}  # fmt: skip
"""Attack accuracy and area on the published scores, as the data's source list has them."""
GUARDED = {
    "correctness": 0.687, "class-wise confidence": 0.691, "class-wise modified entropy": 0.688,
    "auc of confidence": 0.690, "auc of modified entropy": 0.604,
}  # fmt: skip


def data_folder() -> Path:
    return Path(os.environ["PROOFHOUSE_TEST_DATA"])


def rows() -> tuple[Array, Array]:
    """The same 2,000 rows for every tool."""
    table = np.load(data_folder() / "location30.npz", allow_pickle=False)
    features = np.unpackbits(table["x_packed"], axis=1)[:, :446].astype(np.float32)
    chosen = np.random.default_rng(0).permutation(len(features))[:ROWS]
    return features[chosen], table["y"][chosen].astype(np.int64)


def sides() -> tuple[Mask, Mask]:
    first = np.arange(ROWS) < ROWS // 2
    return first, ~first


def published_table(guard: str) -> dict[str, float]:
    """Redoes the table that comes with the published target and shadow scores."""
    kept = np.load(data_folder() / "location30_mia_predictions.npz", allow_pickle=False)
    labels = np.load(data_folder() / "location30.npz", allow_pickle=False)["y"]
    parts = ("shadow", "target")
    scores = np.log(
        np.maximum(np.concatenate([kept[f"{part}_probs{guard}"] for part in parts]), 1e-30)
    )
    members = np.concatenate([kept[f"{part}_member"] for part in parts]).astype(np.bool_)
    classes = np.concatenate([labels[kept[f"{part}_row"]] for part in parts]).astype(np.int64)
    learning = np.arange(len(members)) < len(kept["shadow_member"])
    found = {}
    for name, signal in (
        ("correctness", correctness(scores, classes)),
        ("class-wise confidence", loss(scores, classes)),
        ("class-wise modified entropy", modified_entropy(scores, classes)),
    ):
        called = votes(signal, classes, members, learning, few=1)
        found[name] = float((called == members)[~learning].mean())
        area = auc(signal[~learning & members], signal[~learning & ~members]).value
        found[f"auc of {name.removeprefix('class-wise ')}"] = area
    found.pop("auc of correctness")
    return found


class Work:
    """The targets, trained once, and what every tool needs to be judged by."""

    def __init__(self, kept: Path) -> None:
        self.inputs, self.labels = rows()
        tensors = np.load(kept, allow_pickle=False)
        self.scores: Array = tensors["scores"]
        """Of both targets (2, items, classes)."""
        self.looks: Array = tensors["looks"]
        """The same for every look at the items (2, looks, items, classes)."""

    def quality(self, signals: list[Floats], counted: Mask | None = None) -> dict[str, float]:
        """Mean area and rate over the targets."""
        use = np.ones(ROWS, np.bool_) if counted is None else counted
        pairs = [
            (signal[use & inside], signal[use & ~inside])
            for signal, inside in zip(signals, sides(), strict=True)
        ]
        rates = [tpr_at_fpr(*pair, 0.01).true_positive.value for pair in pairs]
        return {
            "auc": round(float(np.mean([auc(*pair).value for pair in pairs])), 4),
            "tpr_at_1_percent_fpr": round(float(np.mean(rates)), 4),
        }


def plain_network() -> torch.nn.Sequential:
    return torch.nn.Sequential(
        torch.nn.Linear(446, 128), torch.nn.ReLU(), torch.nn.Linear(128, CLASSES)
    )


def trained_alone(inputs: Array, labels: Array, members: Mask, seed: int) -> torch.nn.Sequential:
    """Trains one model the plain way: a loop over batches."""
    torch.manual_seed(seed)
    network = plain_network()
    optimizer = torch.optim.Adam(network.parameters(), RECIPE["learning_rate"])
    x, y = torch.from_numpy(inputs[members]), torch.from_numpy(labels[members])
    for _ in range(int(RECIPE["epochs"])):
        for batch in torch.randperm(len(x)).split(int(RECIPE["batch_size"])):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(x[batch]), y[batch]).backward()
            optimizer.step()
    return network


def answered(network: torch.nn.Module, inputs: Array) -> Array:
    with torch.no_grad():
        scores: Array = network(torch.from_numpy(inputs)).numpy()
    return scores
