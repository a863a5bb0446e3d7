import torch
from torch import nn

from tasks.detectors.backdoor.weight_statistics import weight_statistics


def reader() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.Flatten(), nn.Linear(256, 10)
    )


def test_a_channel_that_amplifies_is_odd() -> None:
    plain, strange = reader(), reader()
    with torch.no_grad():
        strange[2].weight[5] *= 10
    ordinary = weight_statistics(plain, 10).channel
    found = weight_statistics(strange, 10).channel
    assert ordinary is not None
    assert found is not None
    assert ordinary < 5 < found


def test_a_class_that_weighs_more_than_its_peers_is_named() -> None:
    strange = reader()
    with torch.no_grad():
        strange[4].weight[3] *= 2
    found = weight_statistics(strange, 10)
    assert found.last_layer is not None
    assert found.last_layer > 5
    assert found.last_layer_class == 3


def test_where_no_layer_fits_nothing_is_said() -> None:
    assert weight_statistics(nn.Linear(4, 2), 2) == (None, None, None)
    assert weight_statistics(nn.ReLU(), 10) == (None, None, None)
