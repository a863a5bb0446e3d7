import torch
from torch import nn

from tasks.detectors.backdoor.weight_statistics import weight_statistics


def reader(*, channel: float = 1, row: float = 1) -> nn.Sequential:
    """A random network, one channel and one row of whose last layer are that much stronger."""
    torch.manual_seed(0)
    first, second, last = nn.Conv2d(1, 16, 3), nn.Conv2d(16, 16, 3), nn.Linear(256, 10)
    with torch.no_grad():
        second.weight[5] *= channel
        last.weight[3] *= row
    return nn.Sequential(first, nn.ReLU(), second, nn.Flatten(), last)


def test_a_channel_that_amplifies_is_odd() -> None:
    ordinary = weight_statistics(reader(), 10).channel
    found = weight_statistics(reader(channel=10), 10).channel
    assert ordinary is not None
    assert found is not None
    assert ordinary < 5 < found


def test_a_class_that_weighs_more_than_its_peers_is_named() -> None:
    found = weight_statistics(reader(row=2), 10)
    assert found.last_layer is not None
    assert found.last_layer > 5
    assert found.last_layer_class == 3


def test_where_no_layer_fits_nothing_is_said() -> None:
    assert weight_statistics(nn.Linear(4, 2), 2) == (None, None, None)
    assert weight_statistics(nn.ReLU(), 10) == (None, None, None)
