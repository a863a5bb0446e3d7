"""Embeddings of handwritten digits: a wide early layer shows the picture, the answer does not."""

import functools
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from tasks.catalog.reading import Catalog
from tasks.checks.lab import NotApplicable, NotAvailable
from tasks.checks.privacy.embedding_inversion import measure
from tasks.demo.digits import split_digits
from tasks.domain.bundle import OutputSpec
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement
from tasks.judging.gates import judge
from tests.tasks.checks.benches import lab

CHECK = "privacy.embedding_inversion"
LAYERS = b"""layers: [flatten, {linear: {in: 64, out: 48}}, relu, {linear: {in: 48, out: 10}}]"""


@functools.cache
def files() -> dict[str, bytes]:
    training, _ = split_digits()
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 48), torch.nn.ReLU(), torch.nn.Linear(48, 10)
    )
    x, y = torch.from_numpy(training.images), torch.from_numpy(training.labels)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    return {
        "model.safetensors": safetensors.torch.save(network.state_dict()),
        "layers.yaml": LAYERS,
    }


def measured(tmp_path: Path, layer: str | None, rows: int = 400, **more: Any) -> Measurement:
    _, evaluation = split_digits()
    with lab(
        CHECK,
        tmp_path,
        evaluation=(evaluation.images[:rows], evaluation.labels[:rows]),
        files=files(),
        classes=10,
        architecture="layers.yaml",
        output=OutputSpec(kind="logits", classes=10, embedding=layer),
        **more,
    ) as bench:
        return measure(bench)


def outcome(found: Measurement) -> Outcome:
    return judge(Catalog().check(CHECK), found).outcome


def test_a_wide_layer_shows_its_records(tmp_path: Path) -> None:
    found = measured(tmp_path, "1")
    assert found.estimates["recovered"].low > 0.5
    assert found.estimates["identified"].low > 0.5
    assert found.facts["width"] == 48
    assert outcome(found) is Outcome.FAIL
    assert all(control.held for control in found.controls)


def test_gradients_find_what_a_few_records_do_not_teach(tmp_path: Path) -> None:
    found = measured(tmp_path, "1", rows=120)
    assert found.facts["recovered by gradient"] > found.facts["recovered by decoder"]  # type: ignore[operator]


def test_an_answer_alone_shows_little(tmp_path: Path) -> None:
    wide, narrow = measured(tmp_path, "1"), measured(tmp_path, "3")
    assert narrow.facts["width"] == 10
    assert narrow.estimates["recovered"].high < wide.estimates["recovered"].low


def test_where_no_embedding_is_handed_out_the_question_does_not_arise(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match=r"model\.output\.embedding"):
        measured(tmp_path, None)


def test_a_layer_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="no layer '9'"):
        measured(tmp_path, "9")


def test_too_few_records_are_said(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="30 evaluation rows are too few, 100 are needed"):
        measured(tmp_path, "1", rows=30)
