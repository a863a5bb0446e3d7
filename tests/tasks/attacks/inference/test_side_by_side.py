import pytest
import torch
from torch import nn
from torch.func import functional_call

from tasks.attacks.inference.side_by_side import fresh_weights, is_perceptron, side_by_side

PERCEPTRON = nn.Sequential(
    nn.Flatten(), nn.Linear(12, 7), nn.Tanh(), nn.Dropout(0.5), nn.Linear(7, 3, bias=False)
)
PICTURES = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 3))
BY_ROWS = nn.Sequential(nn.Linear(4, 3), nn.Flatten(), nn.Linear(9, 3))
"""Its first layer takes the rows of a picture apart: not a perceptron."""
NETWORKS = pytest.mark.parametrize(
    ("network", "perceptron"), [(PERCEPTRON, True), (PICTURES, False), (BY_ROWS, False)]
)


@NETWORKS
def test_each_model_answers_as_it_would_alone(network: nn.Sequential, perceptron: bool) -> None:
    assert is_perceptron(network) is perceptron
    torch.manual_seed(0)
    weights = fresh_weights(network, 3)
    batch = torch.randn(3, 5, *((1, 4, 3) if network is PICTURES else (3, 4)))
    network.eval()
    together = side_by_side(network)(weights, batch)
    assert together.shape == (3, 5, 3)
    for model in range(3):
        alone = {
            name: value[model].T if perceptron and value.ndim == 3 else value[model]
            for name, value in weights.items()
        }
        expected = functional_call(network, alone, (batch[model],))
        torch.testing.assert_close(together[model], expected)


@NETWORKS
def test_a_models_gradient_is_its_own(network: nn.Sequential, perceptron: bool) -> None:
    torch.manual_seed(0)
    weights = fresh_weights(network, 2)
    batch = torch.randn(2, 5, *((1, 4, 3) if network is PICTURES else (3, 4)))
    network.eval()
    side_by_side(network)(weights, batch)[0].sum().backward()
    for name, value in weights.items():
        assert value.grad is not None, name
        assert value.grad[0].abs().sum() > 0
        assert value.grad[1].abs().sum() == 0
        # The order in memory is the gradient's own: an optimiser's step copies nothing.
        assert value.grad.stride() == value.stride() or not perceptron


def test_dropout_falls_on_each_model_by_itself() -> None:
    network = PERCEPTRON.train()
    weights = {
        name: value[:1].expand(2, *value.shape[1:])
        for name, value in fresh_weights(network, 1).items()
    }
    batch = torch.ones(2, 50, 12)
    first, second = side_by_side(network)(weights, batch)
    assert not torch.equal(first, second)
