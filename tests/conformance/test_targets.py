"""What every kind of target promises: the same network, handed in as each kind of file."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression
from skops import io as skops

from tasks.domain.errors import TargetError
from tasks.targets.opening import open_target
from tasks.targets.protocol import Access, Target, predicted
from tests.tasks.targets.models import description, digits, trained, write_model


def _safetensors(folder: Path) -> str:
    write_model(folder, trained())
    return "model.safetensors"


def _torchscript(folder: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates the format, vendors still ship it
        traced = torch.jit.trace(trained(), torch.zeros(1, 1, 8, 8), check_trace=False)
        torch.jit.save(traced, str(folder / "model.pt"))
    return "model.pt"


def _rows() -> tuple[Any, Any]:
    return digits().train.inputs.reshape(1000, -1), digits().train.labels


def _skops(folder: Path) -> str:
    skops.dump(LogisticRegression(max_iter=300).fit(*_rows()), folder / "model.skops")
    return "model.skops"


def _onnx(folder: Path, operator: str = "Identity") -> str:
    fitted = LogisticRegression(max_iter=300).fit(*_rows())
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node(operator, ["flat"], ["same"]),
        helper.make_node("Gemm", ["same", "w", "b"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(fitted.coef_.astype(np.float32), "w"),
            numpy_helper.from_array(fitted.intercept_.astype(np.float32), "b"),
        ],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), folder / "model.onnx")
    return "model.onnx"


def _onnx_scores(folder: Path) -> str:
    return _onnx(folder, "Sinh")


KINDS: dict[str, tuple[Callable[[Path], str], Access]] = {
    "safetensors": (_safetensors, Access.GRADIENTS),
    "torchscript": (_torchscript, Access.GRADIENTS),
    "skops": (_skops, Access.GRADIENTS),
    "onnx": (_onnx, Access.GRADIENTS),
    "onnx without gradients": (_onnx_scores, Access.SCORES),
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def target(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Target:
    folder = tmp_path_factory.mktemp("target")
    name = KINDS[kind][0](folder)
    architecture = folder / "layers.yaml"
    return open_target(
        artifact=str(folder / name),
        architecture=str(architecture) if architecture.exists() else None,
        model=description(artifact=name),
    )


def test_reads_digits(target: Target) -> None:
    assert (predicted(target, digits().test.inputs) == digits().test.labels).mean() > 0.9


def test_says_what_it_is(kind: str, target: Target) -> None:
    described = target.describe()
    assert json.loads(json.dumps(described)) == described
    assert described["access"] == KINDS[kind][1] == target.access
    assert described["classes"] == target.classes == 10
    assert described["input_shape"] == [1, 8, 8] == list(target.input_shape)
    assert described["deterministic"] is True
    assert (target.module is None) == (target.access is not Access.GRADIENTS)


@pytest.mark.parametrize("count", [0, 1, 300])
def test_batches_of_any_size_agree_and_are_counted(target: Target, count: int) -> None:
    inputs = digits().test.inputs
    whole = target.scores(inputs[:300])
    before = target.meter.passes
    part = target.scores(inputs[:count])
    assert target.meter.passes - before == count
    assert part.dtype == np.float32
    assert part.shape == (count, 10)
    np.testing.assert_allclose(part, whole[:count], rtol=1e-4, atol=1e-4)


def test_other_items_are_refused(target: Target) -> None:
    with pytest.raises(TargetError, match="takes items of shape"):
        target.scores(np.zeros((2, 1, 9, 9), np.float32))


def test_gradients_are_those_of_the_scores(target: Target) -> None:
    """Oracle: the difference quotient along a random direction."""
    if target.module is None:
        return
    rng = np.random.default_rng(0)
    # Equal neighbours would put every maximum pool on an edge, where no slope exists.
    raw = rng.uniform(0.2, 0.8, (1, 1, 8, 8)).astype(np.float32)
    way = rng.normal(size=raw.shape).astype(np.float32)
    inputs = torch.from_numpy(raw).requires_grad_()
    score = target.module(inputs)[0, 3]
    (gradient,) = torch.autograd.grad(score, inputs)
    step = np.float32(2e-4)
    above, below = target.scores(raw + step * way), target.scores(raw - step * way)
    slope = float(above[0, 3] - below[0, 3]) / float(2 * step)
    assert float((gradient.numpy() * way).sum()) == pytest.approx(slope, rel=0.05, abs=0.05)
