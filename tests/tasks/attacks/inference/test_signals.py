import os
from pathlib import Path

import numpy as np
import pytest

from tasks.attacks.inference import signals
from tasks.attacks.inference.deciding import votes
from tasks.sandbox.protocol import Array
from tasks.statistics.roc import auc

SURE = np.array([[20.0, 0.0, 0.0], [0.0, 20.0, 0.0], [0.1, 0.0, 0.0]], dtype=np.float32)
LABELS = np.array([0, 0, 0])


@pytest.mark.parametrize("name", ["correctness", "loss", "modified_entropy", "confidence"])
def test_sure_and_right_looks_most_like_a_member(name: str) -> None:
    right, wrong, unsure = getattr(signals, name)(SURE, LABELS)
    assert right > wrong
    assert right >= unsure
    assert unsure > wrong


def test_modified_entropy_is_the_published_formula() -> None:
    shares = np.array([[0.7, 0.2, 0.1]])
    published = (1 - 0.2) * np.log(0.2) + 0.7 * np.log(1 - 0.7) + 0.1 * np.log(1 - 0.1)
    found = signals.modified_entropy(np.log(shares), np.array([1]))
    np.testing.assert_allclose(found, [published], rtol=1e-12)


def test_confidence_is_the_logit_of_the_probability() -> None:
    shares = np.array([[0.7, 0.2, 0.1]])
    found = signals.confidence(np.log(shares), np.array([0]))
    np.testing.assert_allclose(found, [np.log(0.7 / 0.3)], rtol=1e-12)


@pytest.mark.parametrize("name", ["loss", "modified_entropy", "confidence"])
def test_extreme_scores_stay_finite(name: str) -> None:
    extreme = np.array([[3e38, -3e38, 0], [-3e38, 3e38, 0]], dtype=np.float32)
    assert np.isfinite(getattr(signals, name)(extreme, np.array([0, 0]))).all()


def test_an_item_that_every_model_finds_easy_says_little() -> None:
    scores = np.array([[5.0, 0.0], [5.0, 0.0]])
    shadows = np.array([[[5.0, 0.0], [0.0, 0.0]], [[9.0, 0.0], [9.0, 0.0]]])
    members = np.array([[False, False], [True, True]])
    easy, hard = signals.calibrated(scores, np.array([0, 0]), shadows, members)
    assert easy == pytest.approx(0)
    assert hard == pytest.approx(5)


def test_halves_leave_every_item_out_equally_often() -> None:
    drawn = signals.halves(6, 11, seed=1)
    assert (drawn.sum(axis=0) == 3).all()
    assert set(drawn.sum(axis=1)) == {5, 6}
    with pytest.raises(ValueError, match="do not come in pairs"):
        signals.halves(5, 11, seed=1)


PUBLISHED = [("correctness", 0.687), ("loss", 0.763), ("modified_entropy", 0.781)]


@pytest.fixture(scope="module")
def location30() -> dict[str, Array]:
    folder = os.environ.get("PROOFHOUSE_TEST_DATA")
    if not folder:
        pytest.skip("PROOFHOUSE_TEST_DATA is not set: the published predictions are not at hand")
    with np.load(Path(folder) / "location30_mia_predictions.npz", allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "published"), PUBLISHED)
def test_published_attack_accuracies_are_reached(
    name: str, published: float, location30: dict[str, Array]
) -> None:
    """Thresholds from the shadow model, counted on the target, as Song and Mittal did."""
    both = {
        key: np.concatenate([location30[f"{side}_{key}"] for side in ("shadow", "target")])
        for key in ("probs", "label", "member")
    }
    signal = getattr(signals, name)(np.log(np.maximum(both["probs"], 1e-30)), both["label"])
    learning = np.arange(len(signal)) < len(location30["shadow_label"])
    members = both["member"] == 1
    called = votes(signal, both["label"], members, learning, few=1)
    assert np.mean((called == members)[~learning]) == pytest.approx(published, abs=0.005)


@pytest.mark.shared_data
def test_published_area_is_reached(location30: dict[str, Array]) -> None:
    scores = np.log(np.maximum(location30["target_probs"], 1e-30))
    signal = signals.modified_entropy(scores, location30["target_label"])
    members = location30["target_member"] == 1
    assert auc(signal[members], signal[~members]).value == pytest.approx(0.871, abs=0.001)
