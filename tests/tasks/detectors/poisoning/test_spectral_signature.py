import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tasks.detectors.poisoning.spectral_signature import spectral_signature
from tests.tasks.checks.poisoning.poisoned import poisoned
from tests.tasks.targets.models import digits


@pytest.mark.parametrize("part", [0.1, 0.01])
def test_poisoned_rows_rank_above_honest_ones(part: float) -> None:
    inputs, labels, chosen = poisoned(*digits().train, part=part, target=3)
    arrays = spectral_signature(
        inputs=inputs,
        labels=labels,
        reference=digits().test.inputs,
        reference_labels=digits().test.labels,
        plant=0.0,
        steps=300,
        seed=0,
    ).arrays
    truth = np.isin(np.arange(len(labels)), chosen)
    assert roc_auc_score(truth, arrays["outlier"]) > 0.95
    assert roc_auc_score(truth, arrays["foreign"]) > 0.95


def test_rows_of_features_are_scored_and_planted_too() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    inputs = (rng.normal(size=(400, 6)) + 3 * np.eye(3, 6)[labels]).astype(np.float32)
    arrays = spectral_signature(
        inputs=inputs[:200],
        labels=labels[:200],
        reference=inputs[200:],
        reference_labels=labels[200:],
        plant=0.05,
        steps=50,
        seed=0,
    ).arrays
    assert arrays["planted"].sum() == 10
    assert arrays["outlier"].shape == arrays["foreign"].shape == (200,)
    assert arrays["spectra"].shape == (3, 5)
