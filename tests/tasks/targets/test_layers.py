"""Layer lists: what fits opens and computes the same, what does not fit says all that is wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from torch import nn

from tasks.domain.errors import TargetError
from tasks.targets.layer_file import read_layer_file
from tasks.targets.opening import open_target
from tasks.targets.protocol import Target, predicted
from tests.tasks.targets.models import LAYERS, description, digits, network, trained, write_model


def opened(folder: Path, **model: Any) -> Target:
    return open_target(
        artifact=str(folder / "model.safetensors"),
        architecture=str(folder / "layers.yaml"),
        model=description(**model),
    )


def written(folder: Path, tensors: dict[str, torch.Tensor], document: dict[str, Any]) -> None:
    safetensors.torch.save_file(
        {name: value.contiguous() for name, value in tensors.items()}, folder / "model.safetensors"
    )
    (folder / "layers.yaml").write_text(yaml.safe_dump(document))


def renamed(state: dict[str, torch.Tensor], names: dict[str, str]) -> dict[str, torch.Tensor]:
    return {f"{names[k.partition('.')[0]]}.{k.partition('.')[2]}": v for k, v in state.items()}


def test_answers_like_the_network_it_was_written_from(tmp_path: Path) -> None:
    write_model(tmp_path, trained())
    target = opened(tmp_path)
    inputs = digits().test.inputs
    with torch.no_grad():
        expected = trained()(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(target.scores(inputs), expected, rtol=1e-4, atol=1e-4)
    assert (predicted(target, inputs) == digits().test.labels).mean() > 0.95
    described = target.describe()
    assert described["access"] == "gradients"
    assert described["parameters"] == sum(w.numel() for w in trained().parameters())
    assert described["deterministic"] is True


def test_normalises_by_itself(tmp_path: Path) -> None:
    write_model(tmp_path, trained())
    plain = opened(tmp_path)
    scaled = opened(tmp_path, mean=[0.5], std=[0.25])
    raw = digits().test.inputs[:5]
    np.testing.assert_allclose(
        scaled.scores(raw),
        plain.scores((raw - np.float32(0.5)) / np.float32(0.25)),
        rtol=1e-4,
        atol=1e-4,
    )


def test_whole_number_inputs_lie_in_their_own_range(tmp_path: Path) -> None:
    write_model(tmp_path, trained())
    target = opened(tmp_path, dtype="uint8", mean=[0.0], std=[255.0])
    assert target.bounds == (0.0, 255.0)
    raw = np.round(digits().test.inputs[:50] * 255).astype(np.float32)
    assert (predicted(target, raw) == digits().test.labels[:50]).mean() > 0.9


def test_counts_every_pass(tmp_path: Path) -> None:
    write_model(tmp_path, trained())
    target = opened(tmp_path)
    assert (target.meter.forwards, target.meter.backwards) == (0, 0)
    target.scores(digits().test.inputs[:7])
    raw = torch.from_numpy(digits().test.inputs[:3]).requires_grad_()
    assert target.module is not None
    target.module(raw).sum().backward()
    assert (target.meter.forwards, target.meter.backwards) == (10, 3)
    assert raw.grad is not None
    assert all(weight.grad is None for weight in target.module.parameters())


def test_an_empty_batch_has_empty_scores(tmp_path: Path) -> None:
    write_model(tmp_path, trained())
    assert opened(tmp_path).scores(digits().test.inputs[:0]).shape == (0, 10)


@pytest.mark.parametrize(
    "names",
    [
        {"0": "conv1.0", "3": "conv2.0", "6": "fc1.0"},
        {"0": "features.2", "3": "features.10", "6": "head"},
        {"0": "0", "3": "2", "6": "5"},
    ],
    ids=["blocks", "numbers are not letters", "flatten not counted"],
)
def test_matches_other_names_in_natural_order(tmp_path: Path, names: dict[str, str]) -> None:
    written(tmp_path, renamed(trained().state_dict(), names), {"layers": LAYERS})
    target = opened(tmp_path)
    assert (predicted(target, digits().test.inputs) == digits().test.labels).mean() > 0.95
    assert any("matched by order" in note for note in target.describe()["notes"])


@pytest.mark.parametrize("backwards", [False, True], ids=["ours to theirs", "theirs to ours"])
def test_follows_a_weights_map(tmp_path: Path, *, backwards: bool) -> None:
    names = {"0": "zeta", "3": "alpha", "6": "middle"}
    weights = {theirs: ours for ours, theirs in names.items()} if backwards else names
    document = {"layers": LAYERS, "weights": weights}
    written(tmp_path, renamed(trained().state_dict(), names), document)
    assert (predicted(opened(tmp_path), digits().test.inputs) == digits().test.labels).mean() > 0.95


def test_layers_of_one_shape_follow_the_numbers_in_their_names(tmp_path: Path) -> None:
    torch.manual_seed(2)
    plain = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    layers: list[Any] = ["flatten", {"linear": {"in": 64, "out": 64}}, "relu"]
    layers += [{"linear": {"in": 64, "out": 64}}, "relu", {"linear": {"in": 64, "out": 10}}]
    names = {"1": "net.2", "3": "net.10", "5": "net.11"}
    written(tmp_path, renamed(plain.state_dict(), names), {"layers": layers})
    inputs = digits().test.inputs[:20]
    with torch.no_grad():
        expected = plain(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(opened(tmp_path).scores(inputs), expected, rtol=1e-4, atol=1e-4)


def test_same_shapes_in_doubtful_order_are_not_guessed(tmp_path: Path) -> None:
    layers = [
        "flatten",
        {"linear": {"in": 64, "out": 64}},
        "relu",
        {"linear": {"in": 64, "out": 64}},
        "relu",
        {"linear": {"in": 64, "out": 10}},
    ]
    names = {"last": (10, 64), "x": (64, 64), "y": (64, 64)}
    tensors = {f"{name}.weight": torch.zeros(shape) for name, shape in names.items()}
    tensors |= {f"{name}.bias": torch.zeros(shape[0]) for name, shape in names.items()}
    written(tmp_path, tensors, {"layers": layers})
    with pytest.raises(TargetError, match="weights map"):
        opened(tmp_path)


def test_lists_every_mismatch_at_once(tmp_path: Path) -> None:
    layers: list[Any] = [
        {"conv2d": {"in": 3, "out": 8, "kernel": 3}},
        "relu",
        "flatten",
        {"linear": {"in": 999, "out": 7}},
    ]
    write_model(tmp_path, trained(), layers)
    with pytest.raises(TargetError) as caught:
        opened(tmp_path)
    assert "layer 0 (conv2d): takes 3 channels" in caught.value.message
    assert "layer 3 (linear): takes 999 features" in caught.value.message


def test_says_which_tensors_do_not_fit(tmp_path: Path) -> None:
    state = trained().state_dict() | {"6.weight": torch.zeros(10, 255), "extra": torch.zeros(2)}
    written(tmp_path, state, {"layers": LAYERS, "weights": {"0": "0"}})
    with pytest.raises(TargetError) as caught:
        opened(tmp_path)
    assert "6.weight wants (10, 256), 6.weight is (10, 255)" in caught.value.message
    assert "extra is in the file and in no layer" in caught.value.message


def test_names_the_classes_it_expected(tmp_path: Path) -> None:
    write_model(tmp_path, trained())
    with pytest.raises(TargetError, match=r"answers \(1, 10\), expected \(1, 12\)"):
        opened(tmp_path, classes=12)


def test_refuses_weights_that_are_no_numbers(tmp_path: Path) -> None:
    broken = network()
    with torch.no_grad():
        list(broken.parameters())[1][2] = float("nan")
    write_model(tmp_path, broken)
    with pytest.raises(TargetError, match=r"NaN or infinite: 0\.bias"):
        opened(tmp_path)


def test_refuses_answers_that_are_no_numbers(tmp_path: Path) -> None:
    broken = network()
    with torch.no_grad():
        list(broken.parameters())[4].fill_(3e38)
    write_model(tmp_path, broken)
    with pytest.raises(TargetError, match="NaN or infinity for"):
        opened(tmp_path)


def test_wants_a_layer_list(tmp_path: Path) -> None:
    write_model(tmp_path, trained())
    with pytest.raises(TargetError, match=r"add model\.architecture"):
        open_target(
            artifact=str(tmp_path / "model.safetensors"), architecture=None, model=description()
        )


def test_nothing_is_allocated_for_a_layer_without_tensors(tmp_path: Path) -> None:
    huge = [
        "flatten",
        {"linear": {"in": 64, "out": 1 << 20}},
        {"linear": {"in": 1 << 20, "out": 10}},
    ]
    write_model(tmp_path, trained(), [*huge[:2], {"linear": {"in": 1 << 20, "out": 1 << 20}}])
    with pytest.raises(TargetError, match="parameters are more than"):
        opened(tmp_path)


BROKEN = {
    "alias": "a: &x [relu]\nlayers: *x",
    "bomb": "layers: " + "[" * 60 + "]" * 60,
    "too many": "layers: [" + "relu, " * 30_000 + "relu]",
    "object": "layers: !!python/object/apply:os.system [id]",
    "unknown layer": "layers: [shell]",
    "unknown setting": "layers: [{linear: {in: 3, out: 3, hook: x}}]",
    "text for a number": "layers: [{linear: {in: '3', out: 3}}]",
    "negative": "layers: [{linear: {in: -3, out: 3}}]",
    "two kinds in one": "layers: [{relu: {}, tanh: {}}]",
    "no layers": "weights: {}",
    "unknown key": "layers: [relu]\nhooks: []",
    "not YAML": "layers: [",
    "empty": "",
    "binary": "\x00\x01",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
def test_refuses_files_that_are_no_layer_list(tmp_path: Path, text: str) -> None:
    path = tmp_path / "layers.yaml"
    path.write_text(text)
    with pytest.raises(TargetError, match="layer list"):
        read_layer_file(path)


def test_a_long_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "layers.yaml"
    path.write_bytes(b"#" * (1 << 21))
    with pytest.raises(TargetError, match="longer than"):
        read_layer_file(path)


class Block(nn.Module):
    """A residual block as people write it in torch."""

    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.SiLU())
        self.side = nn.Sequential(nn.Conv2d(1, 4, 1, 2))
        self.rest = nn.Sequential(
            nn.ReflectionPad2d(1), nn.GELU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
            nn.LayerNorm(16), nn.Linear(16, 10),
        )  # fmt: skip

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.rest(self.main(inputs) + self.side(inputs))
        return answer


def test_residual_blocks_and_the_other_layers(tmp_path: Path) -> None:
    torch.manual_seed(1)
    block = Block()
    with torch.no_grad():
        block.train()(torch.randn(64, 1, 8, 8))  # gives the norm statistics of its own
    block.eval()
    layers = [
        {
            "residual": {
                "layers": [
                    {"conv2d": {"in": 1, "out": 4, "kernel": 3, "stride": 2, "padding": 1}},
                    {"batch_norm2d": {"features": 4}},
                    "silu",
                ],
                "shortcut": [{"conv2d": {"in": 1, "out": 4, "kernel": [1, 1], "stride": 2}}],
            }
        },
        {"reflection_pad2d": {"padding": 1}},
        "gelu",
        {"adaptive_avg_pool2d": {"output": 2}},
        "flatten",
        {"layer_norm": {"shape": 16}},
        {"dropout": {"p": 0.3}},
        {"linear": {"in": 16, "out": 10}},
    ]
    weights = {
        "0.layers.0": "main.0",
        "0.layers.1": "main.1",
        "0.shortcut.0": "side.0",
        "5": "rest.4",
        "7": "rest.5",
    }
    written(tmp_path, block.state_dict(), {"layers": layers, "weights": weights})
    inputs = digits().test.inputs[:20]
    with torch.no_grad():
        expected = block(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(opened(tmp_path).scores(inputs), expected, rtol=1e-4, atol=1e-5)


def test_a_softmax_keeps_its_gradients(tmp_path: Path) -> None:
    sharp = network()
    sharp.load_state_dict(trained().state_dict())
    with torch.no_grad():
        list(sharp.parameters())[4].mul_(100)
    write_model(tmp_path, sharp, [*LAYERS, "softmax"])
    target = opened(tmp_path, kind="probabilities")
    raw = torch.from_numpy(digits().test.inputs[:100]).requires_grad_()
    assert target.module is not None
    labels = torch.from_numpy(digits().test.labels[:100])
    other = (labels + 1) % 10
    scores = target.module(raw)
    (gradient,) = torch.autograd.grad(scores.gather(1, other[:, None]).sum(), raw)
    assert (gradient.flatten(1).abs().amax(1) > 0).all()
    assert (scores.detach().exp().sum(1) - 1).abs().max() < 1e-4


def test_probabilities_called_logits_are_noticed(tmp_path: Path) -> None:
    write_model(tmp_path, trained(), [*LAYERS, "softmax"])
    target = opened(tmp_path)
    assert any("says logits" in note for note in target.describe()["notes"])
    assert (target.scores(digits().test.inputs[:5]) <= 0).all()
