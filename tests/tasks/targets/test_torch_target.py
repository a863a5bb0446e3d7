"""Where a network computes, and that its callers need not know."""

import copy
from functools import partial

import numpy as np
import pytest
import torch

from tasks.attacks.evasion.apgd import apgd
from tasks.attacks.evasion.ddn import ddn
from tasks.attacks.evasion.linear_control import linear_target
from tasks.attacks.evasion.victim import Victim
from tasks.domain.bundle import ModelSpec
from tasks.sandbox.gpu import LOW_PRECISION
from tasks.targets.torch_target import TorchTarget
from tests.tasks.targets.models import description

WEIGHTS = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, -0.5]], np.float32)
INPUTS = np.random.default_rng(0).random((16, 3), np.float32)


def target() -> TorchTarget:
    return linear_target(WEIGHTS, np.zeros(2, np.float32))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU that torch can use")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")


def test_without_a_gpu_handed_on_it_computes_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    opened = target()
    assert opened.scorer.mean.device.type == "cpu"
    assert opened.notes == []


def test_a_gpu_that_torch_cannot_use_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-none")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv(LOW_PRECISION, "1")
    opened = target()
    assert opened.scorer.mean.device.type == "cpu"
    assert any("GPU" in note for note in opened.notes)
    assert not Victim(opened).fast, "low precision is for GPUs"


def test_the_order_in_memory_of_colour_pictures_is_nobodys_business() -> None:
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(3, 4, 3)
    network = torch.nn.Sequential(
        convolution, torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(64, 5)
    )
    plain = copy.deepcopy(network)
    spec = ModelSpec.model_validate(description(shape=(3, 6, 6), classes=5))
    opened = TorchTarget(network, spec, kind="test")
    assert opened.scorer.by_pixel
    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)
    raw = torch.rand(7, 3, 6, 6, requires_grad=True)
    assert opened.module is not None
    scores, wanted = opened.module(raw), plain(raw)
    torch.testing.assert_close(scores, wanted)
    (slope,) = torch.autograd.grad(scores.square().sum(), raw)
    torch.testing.assert_close(slope, torch.autograd.grad(wanted.square().sum(), raw)[0])
    assert slope.is_contiguous()
    assert raw.grad_fn is None


@pytest.mark.gpu
@pytest.mark.usefixtures("gpu")
def test_callers_on_the_cpu_and_on_the_gpu_get_the_same_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = target()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    here = target()
    assert there.scorer.mean.device.type == "cuda"
    np.testing.assert_allclose(there.scores(INPUTS), here.scores(INPUTS), rtol=1e-5, atol=1e-6)
    labels = here.scores(INPUTS).argmax(1)
    assert there.module is not None
    assert there.module(torch.from_numpy(INPUTS)).device.type == "cpu"
    for attack in (partial(apgd, norm="linf", epsilon=0.3), ddn):
        wanted, found = (
            attack(one, inputs=INPUTS, labels=labels).arrays["found"] for one in (here, there)
        )
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.gpu
@pytest.mark.usefixtures("gpu")
def test_low_precision_is_used_when_the_profile_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Victim(target()).fast
    monkeypatch.setenv(LOW_PRECISION, "1")
    assert Victim(target()).fast
