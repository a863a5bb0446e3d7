"""ONNX: converted graphs agree with onnxruntime and reveal gradients; others answer scores."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tasks.domain.errors import TargetError
from tasks.targets.opening import open_target
from tasks.targets.protocol import Target, predicted
from tests.tasks.targets.models import description, digits, trained

ROWS = np.random.default_rng(5)


def weights(*shape: int) -> NDArray[np.float32]:
    drawn: NDArray[np.float32] = ROWS.standard_normal(shape, dtype=np.float32)
    return drawn / np.float32(np.sqrt(np.prod(shape[1:])))


def saved(
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, NDArray[Any]],
    *,
    shape: tuple[Any, ...] = ("n", 1, 8, 8),
    opset: int = 17,
    outputs: tuple[str, ...] = ("y",),
) -> Path:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.save(model, path)
    return path


def opened(path: Path, **model: Any) -> Target:
    return open_target(
        artifact=str(path), architecture=None, model=description(artifact="model.onnx", **model)
    )


def exported(path: Path, *, batch: int | None = None) -> Path:
    """Writes the digits network node by node, as exporters do."""
    state = {name: value.numpy() for name, value in trained().state_dict().items()}
    nodes = [
        helper.make_node("Conv", ["x", "0.weight", "0.bias"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["c", "3.weight", "3.bias"], ["d"], auto_pad="SAME_UPPER"),
        helper.make_node("Relu", ["d"], ["e"]),
        helper.make_node("Reshape", ["e", "shape"], ["f"]),
        helper.make_node("Gemm", ["f", "6.weight", "6.bias"], ["y"], transB=1),
    ]
    shape = np.array([batch or 0, 256], np.int64)
    return saved(path, nodes, {**state, "shape": shape}, shape=(batch or "n", 1, 8, 8))


@pytest.mark.parametrize("batch", [None, 1, 3], ids=["any batch", "batch of 1", "batch of 3"])
def test_answers_and_differentiates_like_torch(tmp_path: Path, batch: int | None) -> None:
    target = opened(exported(tmp_path / "m.onnx", batch=batch))
    assert target.describe()["access"] == "gradients"
    raw = torch.from_numpy(digits().test.inputs[:10]).requires_grad_()
    assert target.module is not None
    scores, expected = target.module(raw), trained()(raw)
    np.testing.assert_allclose(
        scores.detach().numpy(), expected.detach().numpy(), rtol=1e-4, atol=1e-4
    )
    ours, theirs = (
        torch.autograd.grad(each.square().sum(), raw)[0].numpy() for each in (scores, expected)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
    assert (predicted(target, digits().test.inputs) == digits().test.labels).mean() > 0.95


def _chain(*nodes: "Operation") -> list[onnx.NodeProto]:
    """Feeds each node's first input from the node before it."""
    made, last = [], "x"
    for at, (kind, others, settings) in enumerate(nodes):
        name = "y" if at == len(nodes) - 1 else f"v{at}"
        made.append(helper.make_node(kind, [last, *others], [name], **settings))
        last = name
    return made


C: dict[str, NDArray[Any]] = {
    "w": weights(10, 64),
    "wt": weights(64, 10),
    "b": weights(10),
    "k": weights(4, 1, 3, 3),
    "half": np.array(0.5, np.float32),
    "two": np.array(2, np.float32),
    "s4": np.abs(weights(4)) + 0.5,
    "b4": weights(4),
    "rows": np.array([-1, 64], np.int64),
    "one": np.array([1], np.int64),
    "pads": np.array([0, 0, 1, 2, 0, 0, 3, 1], np.int64),
    "from": np.array([1, 2], np.int64),
    "to": np.array([7, 99], np.int64),
    "axes": np.array([2, 3], np.int64),
    "s64": np.abs(weights(64)) + 0.5,
    "b64": weights(64),
}
Operation = tuple[str, list[str], dict[str, Any]]
LAST: Operation = ("Gemm", ["wt", "b"], {})
POOLED: tuple[Operation, ...] = (("Reshape", ["rows"], {}), LAST)
CASES: dict[str, list[onnx.NodeProto]] = {
    "linear": _chain(("Flatten", [], {}), LAST),
    "matmul and bias": _chain(("Flatten", [], {}), ("MatMul", ["wt"], {}), ("Add", ["b"], {})),
    "arithmetic": _chain(
        ("Sub", ["half"], {}), ("Div", ["two"], {}), ("Mul", ["two"], {}), ("Neg", [], {}),
        ("Abs", [], {}), ("Add", ["half"], {}), ("Sqrt", [], {}), ("Pow", ["two"], {}),
        ("Exp", [], {}), ("Log", [], {}), ("Reciprocal", [], {}), ("Flatten", [], {}), LAST,
    ),
    "activations": _chain(
        ("Sub", ["half"], {}), ("LeakyRelu", [], {"alpha": 0.1}), ("Elu", [], {"alpha": 0.7}),
        ("Tanh", [], {}), ("Sigmoid", [], {}), ("Erf", [], {}), ("HardSigmoid", [], {}),
        ("Softplus", [], {}), ("HardSwish", [], {}), ("Clip", ["half", "two"], {}),
        ("Flatten", [], {}), LAST,
    ),
    "batch normalisation and pools": _chain(
        ("Conv", ["k"], {"pads": [2, 0, 0, 1], "strides": [1, 2], "dilations": [2, 1]}),
        ("BatchNormalization", ["s4", "b4", "b4", "s4"], {"epsilon": 1e-3}),
        ("MaxPool", [], {"kernel_shape": [2, 2], "pads": [1, 0, 0, 1], "ceil_mode": 1}),
        ("AveragePool", [], {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]}),
        ("GlobalAveragePool", [], {}), ("Flatten", [], {}), ("Gemm", ["w4", "b"], {"transB": 1}),
    ),
    "average pool that counts its border": _chain(
        ("AveragePool", [], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1],
                             "count_include_pad": 1}),
        *POOLED,
    ),
    "shapes": _chain(
        ("Transpose", [], {"perm": [0, 2, 3, 1]}), ("Squeeze", ["three"], {}),
        ("Unsqueeze", ["one"], {}), ("Identity", [], {}), ("Dropout", [], {}), *POOLED,
    ),
    "cut, pad and mean": _chain(
        ("Slice", ["from", "to", "axes"], {}), ("Pad", ["pads"], {"mode": "reflect"}),
        ("ReduceMean", [], {"axes": [3], "keepdims": 0}), ("Flatten", [], {}),
        ("MatMul", ["w10"], {}),
    ),
    "layer normalisation": _chain(
        ("Flatten", [], {}), ("LayerNormalization", ["s64", "b64"], {"axis": -1}), LAST
    ),
    "log-softmax": _chain(("Flatten", [], {}), LAST, ("LogSoftmax", [], {"axis": 1})),
}  # fmt: skip
MORE: dict[str, NDArray[Any]] = {
    "w4": weights(10, 4),
    "w10": weights(10, 10),
    "three": np.array([3], np.int64),
}


@pytest.mark.parametrize("nodes", CASES.values(), ids=CASES.keys())
def test_operators_agree_with_onnxruntime(tmp_path: Path, nodes: list[onnx.NodeProto]) -> None:
    path = saved(tmp_path / "m.onnx", nodes, {**C, **MORE})
    target = opened(path)
    assert target.describe()["access"] == "gradients", target.describe()["notes"]


def test_an_unknown_operator_leaves_scores_and_says_which(tmp_path: Path) -> None:
    nodes = _chain(("Flatten", [], {}), ("Sinh", [], {}), LAST)
    target = opened(saved(tmp_path / "m.onnx", nodes, C))
    assert target.describe()["access"] == "scores"
    assert target.module is None
    assert target.describe()["notes"] == ["only scores: no gradients through Sinh"]
    assert target.scores(digits().test.inputs[:300]).shape == (300, 10)
    assert target.meter.forwards == 300


def test_a_disagreeing_conversion_leaves_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.targets import onnx_operators  # noqa: PLC0415 - to break one operator of it

    monkeypatch.setitem(onnx_operators.OPERATORS, "Tanh", lambda _node, values: values[0])
    nodes = _chain(("Flatten", [], {}), ("Tanh", [], {}), LAST)
    described = opened(saved(tmp_path / "m.onnx", nodes, C)).describe()
    assert described["access"] == "scores"
    assert "differs from onnxruntime" in described["notes"][0]


def test_old_softmax_is_fused(tmp_path: Path) -> None:
    nodes = _chain(("Flatten", [], {}), LAST, ("Softmax", [], {}))
    target = opened(saved(tmp_path / "m.onnx", nodes, C, opset=11), kind="probabilities")
    scores = target.scores(digits().test.inputs[:9])
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1, atol=1e-5)
    assert "logarithm" in target.describe()["notes"][0]


def _classifier(path: Path, *, zip_map: bool) -> Path:
    """Writes what scikit-learn converters make: a label, and probabilities or maps of them."""
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node(
            "LinearClassifier",
            ["flat"],
            ["label", "p"],
            domain="ai.onnx.ml",
            coefficients=C["w"].reshape(-1).tolist(),
            intercepts=C["b"].tolist(),
            classlabels_ints=list(range(10)),
            post_transform="SOFTMAX",
        ),
    ]
    if zip_map:
        nodes.append(
            helper.make_node(
                "ZipMap", ["p"], ["maps"], domain="ai.onnx.ml", classlabels_int64s=range(10)
            )
        )
    saved(path, nodes, {}, outputs=("label", "maps" if zip_map else "p"))
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    if zip_map:
        value = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
        maps = helper.make_map_type_proto(TensorProto.INT64, value)
        model.graph.output[1].type.CopyFrom(helper.make_sequence_type_proto(maps))
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("zip_map", [False, True])
def test_classical_models_answer_scores(tmp_path: Path, *, zip_map: bool) -> None:
    target = opened(_classifier(tmp_path / "m.onnx", zip_map=zip_map), kind="probabilities")
    assert target.describe()["access"] == "scores"
    inputs = digits().test.inputs[:20]
    logits = inputs.reshape(20, -1) @ C["w"].T + C["b"]
    np.testing.assert_array_equal(predicted(target, inputs), logits.argmax(axis=1))


def test_label_models_answer_labels(tmp_path: Path) -> None:
    target = opened(_classifier(tmp_path / "m.onnx", zip_map=False), kind="labels")
    assert target.describe()["access"] == "labels"
    assert set(np.unique(target.scores(digits().test.inputs[:20]))) == {0.0, 1.0}


def test_weights_in_other_files_are_refused(tmp_path: Path) -> None:
    path = exported(tmp_path / "m.onnx")
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    with pytest.raises(TargetError, match="lie in other files"):
        opened(path)


def test_says_which_items_the_graph_takes(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"takes items of \[1, 8, 8\]"):
        opened(exported(tmp_path / "m.onnx"), shape=(1, 28, 28))


def test_says_what_the_outputs_are(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"no output .* \(n, 3\) scores: y float32 \(1, 10\)"):
        opened(exported(tmp_path / "m.onnx"), classes=3)


@pytest.mark.parametrize(
    "data", [b"", b"\x08\x07garbage", b"\x08\x07"], ids=["empty", "torn", "no graph"]
)
def test_refuses_what_is_no_onnx(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(TargetError):
        opened(path)
