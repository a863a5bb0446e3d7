"""TorchScript, exported programs, skops, pickles and what is none of them."""

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from skops import io as skops
from torch import nn

from tasks.domain.errors import TargetError
from tasks.targets.opening import open_target
from tasks.targets.protocol import Target, predicted
from tasks.targets.recognising import recognised
from tests.tasks.targets.models import description, digits, network, trained

ROWS = digits().train.inputs.reshape(1000, -1)


def opened(path: Path, **model: Any) -> Target:
    return open_target(
        artifact=str(path), architecture=None, model=description(artifact=path.name, **model)
    )


def accuracy(target: Target) -> float:
    return float((predicted(target, digits().test.inputs) == digits().test.labels).mean())


def scripted(path: Path, model: nn.Module) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates the format, vendors still ship it
        traced = torch.jit.trace(model, torch.zeros(1, 1, 8, 8), check_trace=False)
        torch.jit.save(traced, str(path))
    return path


@pytest.mark.parametrize("name", ["m.pt", "m.bin"])
def test_opens_torchscript_by_content(tmp_path: Path, name: str) -> None:
    target = opened(scripted(tmp_path / name, trained()))
    assert target.describe()["kind"] == "torchscript"
    assert target.describe()["access"] == "gradients"
    assert accuracy(target) > 0.95


class Rolls(nn.Module):
    """Answers with noise of its own."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.flatten(1)[:, :10] + torch.rand(1)


def test_notices_a_model_that_rolls_dice(tmp_path: Path) -> None:
    described = opened(scripted(tmp_path / "m.pt", Rolls())).describe()
    assert described["deterministic"] is False
    assert "not deterministic" in described["notes"][0]


class Steps(nn.Module):
    """Answers without a gradient to its input."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.detach().flatten(1)[:, :10]


def test_a_model_without_gradients_leaves_scores(tmp_path: Path) -> None:
    described = opened(scripted(tmp_path / "m.pt", Steps())).describe()
    assert described["access"] == "scores"
    assert "cannot be differentiated" in described["notes"][0]


@pytest.mark.parametrize("fixed", [False, True], ids=["any batch", "batch of 2"])
def test_opens_exported_programs(tmp_path: Path, *, fixed: bool) -> None:
    path = tmp_path / "m.pt2"
    shapes = None if fixed else ({0: torch.export.Dim("batch")},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own exporter
        model = network()
        model.load_state_dict(trained().state_dict())
        example = (torch.zeros(2, 1, 8, 8),)
        torch.export.save(torch.export.export(model.eval(), example, dynamic_shapes=shapes), path)
    target = opened(path)
    assert target.describe()["kind"] == "exported program"
    assert target.describe()["access"] == "gradients"
    assert accuracy(target) > 0.95


ESTIMATORS = {
    "logistic": (make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)), "gradients"),
    "perceptron": (
        make_pipeline(MinMaxScaler(), MLPClassifier((32,), max_iter=60, random_state=0)),
        "gradients",
    ),
    "forest": (RandomForestClassifier(20, random_state=0), "scores"),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_opens_plain_scikit_learn(tmp_path: Path, name: str) -> None:
    estimator, access = ESTIMATORS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the perceptron need not converge here
        estimator.fit(ROWS, digits().train.labels)
    skops.dump(estimator, tmp_path / "m.skops")
    target = opened(tmp_path / "m.skops", kind="probabilities")
    assert target.describe()["access"] == access
    expected = estimator.predict_proba(digits().test.inputs[:50].reshape(50, -1))
    got = np.exp(target.scores(digits().test.inputs[:50]))
    np.testing.assert_allclose(got, expected, atol=1e-3)
    assert accuracy(target) > 0.9


def test_two_classes_keep_their_order(tmp_path: Path) -> None:
    labels = (digits().train.labels > 4).astype(np.int64)
    estimator = LogisticRegression(max_iter=200).fit(ROWS, labels)
    skops.dump(estimator, tmp_path / "m.skops")
    target = opened(tmp_path / "m.skops", classes=2)
    expected = estimator.predict(digits().test.inputs.reshape(797, -1))
    np.testing.assert_array_equal(predicted(target, digits().test.inputs), expected)


def test_labels_only(tmp_path: Path) -> None:
    estimator = LogisticRegression(max_iter=200).fit(ROWS, digits().train.labels)
    skops.dump(estimator, tmp_path / "m.skops")
    target = opened(tmp_path / "m.skops", kind="labels")
    assert target.describe()["access"] == "labels"
    assert accuracy(target) > 0.9


class Custom(LogisticRegression):  # type: ignore[misc]  # scikit-learn ships no types
    """What a vendor might add to an estimator."""


def test_names_the_types_it_does_not_trust(tmp_path: Path) -> None:
    estimator = Custom(max_iter=200).fit(ROWS, digits().train.labels)
    skops.dump(estimator, tmp_path / "m.skops")
    with pytest.raises(TargetError, match=r"safe list: .*test_formats\.Custom"):
        opened(tmp_path / "m.skops")


def test_a_pickle_needs_a_confined_child(tmp_path: Path) -> None:
    estimator = LogisticRegression(max_iter=200).fit(ROWS, digits().train.labels)
    joblib.dump(estimator, tmp_path / "m.joblib")
    with pytest.raises(TargetError, match="not confined enough"):
        opened(tmp_path / "m.joblib")


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path("/tmp/exploded"),)  # type: ignore[return-value]  # noqa: S108


def _state_dict(path: Path) -> None:
    torch.save(trained().state_dict(), path)


def _pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Bomb()))


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing")


def _torn_zip(path: Path) -> None:
    scripted(path, trained())
    path.write_bytes(path.read_bytes()[:-500])


def _header(path: Path) -> None:
    path.write_bytes((1 << 60).to_bytes(8, "little") + b"{}")


@pytest.mark.parametrize("start", [b"\x80\x00", b"\x80\x02"], ids=["128", "640"])
def test_weights_whose_header_is_as_long_as_a_pickle_begins(tmp_path: Path, start: bytes) -> None:
    """The first bytes of safetensors are a length, and may be those of a pickle."""
    size = int.from_bytes(start, "little")
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(size)
    path = tmp_path / "m.safetensors"
    path.write_bytes(size.to_bytes(8, "little") + header + bytes(4))
    assert recognised(path) == "safetensors"


REFUSED = {
    "weights in a pickle": ("m.pt", _state_dict),
    "pickle in disguise": ("m.pt", _pickle),
    "unknown zip": ("m.skops", _zip),
    "torn archive": ("m.pt", _torn_zip),
    "long header": ("m.safetensors", _header),
    "empty": ("m.onnx", lambda path: path.touch()),
    "missing": ("m.onnx", lambda _path: None),
    "text": ("m.h5", lambda path: path.write_text("hello")),
}


@pytest.mark.parametrize(("name", "write"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses_the_rest_with_a_reason(tmp_path: Path, name: str, write: Any) -> None:
    write(tmp_path / name)
    with pytest.raises(TargetError) as caught:
        opened(tmp_path / name)
    assert len(caught.value.message) > 20
    assert not Path("/tmp/exploded").exists()  # noqa: S108


def test_regression_is_no_target(tmp_path: Path) -> None:
    model = {**description(artifact="m.pt"), "task": "regression"}
    with pytest.raises(TargetError, match="this is regression"):
        open_target(
            artifact=str(scripted(tmp_path / "m.pt", trained())), architecture=None, model=model
        )
