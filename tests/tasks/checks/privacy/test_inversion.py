from pathlib import Path
from typing import Any

import pytest

from tasks.catalog.reading import Catalog
from tasks.checks.lab import NotAvailable
from tasks.checks.privacy.inversion import measure
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement
from tasks.judging.gates import judge
from tests.tasks.checks.benches import lab
from tests.tasks.checks.privacy.test_attribute_inference import model, people

CHECK = "privacy.inversion"


def measured(tmp_path: Path, steps: int, rows: int = 800) -> Measurement:
    training, evaluation = people()
    with lab(
        CHECK,
        tmp_path,
        training=(training[0][:rows], training[1][:rows]),
        evaluation=(evaluation[0][:rows], evaluation[1][:rows]),
        files=model(steps),
        classes=4,
        architecture="layers.yaml",
    ) as bench:
        return measure(bench)


def outcome(found: Measurement) -> Outcome:
    return judge(Catalog().check(CHECK), found).outcome


def test_a_model_that_knows_records_by_heart_gives_them_back(tmp_path: Path) -> None:
    found = measured(tmp_path, steps=200)
    assert found.estimates["advantage"].low > 0
    assert outcome(found) is Outcome.FAIL
    assert [control.held for control in found.controls] == [True, True]


def test_a_model_that_learnt_little_gives_nothing_back(tmp_path: Path) -> None:
    found = measured(tmp_path, steps=1)
    assert found.estimates["advantage"].low < 0.05
    assert outcome(found) is not Outcome.FAIL


def test_too_few_strangers_are_said(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="are needed"):
        measured(tmp_path, steps=1, rows=50)


def test_pictures_lose_their_lower_half(tmp_path: Path) -> None:
    sides: list[Any] = [(part[0][:200].reshape(-1, 1, 7, 2), part[1][:200]) for part in people()]
    layers = b"layers: [flatten, {linear: {in: 14, out: 256}}, relu, {linear: {in: 256, out: 4}}]"
    with lab(
        CHECK,
        tmp_path,
        training=sides[0],
        evaluation=sides[1],
        files={**model(200), "layers.yaml": layers},
        classes=4,
        architecture="layers.yaml",
    ) as bench:
        found = measure(bench)
    assert found.cost.passes > 0
    assert set(found.facts) == {
        f"{name}: {whom}"
        for name in ("gradient", "label only")
        for whom in ("members", "strangers")
    }
