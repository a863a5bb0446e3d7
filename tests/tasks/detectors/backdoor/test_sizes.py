import numpy as np

from tasks.detectors.backdoor.sizes import SMALLEST_SPREAD, anomaly_indices, size_limits

ORDINARY = np.array([0.14, 0.15, 0.16, 0.15, 0.17, 0.14, 0.16, 0.15, 0.16])


def test_one_small_class_stands_out_and_no_other() -> None:
    indices = anomaly_indices(np.append(ORDINARY, 0.02))
    assert indices.argmax() == 9
    assert indices[9] > 10
    assert (indices[:9] < 1).all()


def test_nearly_equal_sizes_are_not_made_odd() -> None:
    sizes = np.append(np.full(9, 0.150), 0.135)
    assert anomaly_indices(sizes).max() < 1
    assert size_limits(sizes, deviations=1)[9] == np.float64(0.15 * np.exp(-SMALLEST_SPREAD))


def test_a_size_at_its_limit_has_that_index() -> None:
    sizes = np.append(ORDINARY, 0.1)
    limit = size_limits(sizes, deviations=3.5)[9]
    assert np.isclose(anomaly_indices(np.append(ORDINARY, limit))[9], 3.5)
