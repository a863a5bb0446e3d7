"""Small bundles whose artifact passes the scan (or not) and misbehaves when it is opened or asked.

Nothing here needs code outside the formats themselves: a TorchScript loop, an ONNX loop, a tree
whose nodes point at themselves. The pickles are the old way, and meet the scan first.
"""

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import torch
import yaml
from onnx import TensorProto, helper
from sklearn.tree import DecisionTreeClassifier

from tests.tasks.sandbox.hostile import write_pickle

FEATURES, CLASSES, ROWS = 4, 3, 64
QUERIES_AT_OPENING = 7
"""How often opening asks: twice alike, four alone, once for gradients."""
QUERIES_AT_A_LOOK = 4
"""How often artifact.behaviour asks afterwards."""
Writer = Callable[[Path], None]


def write_bundle(folder: Path, artifact: str, write: Writer, *, output: str = "logits") -> Path:
    """Writes a bundle with evaluation data and the artifact that ``write`` makes; returns it."""
    (folder / "data").mkdir(parents=True)
    write(folder / artifact)
    inputs, labels = rows()
    np.savez(folder / "data" / "eval.npz", x=inputs, y=labels)
    described = {
        "schema": "proofhouse.bundle/1",
        "vendor": {"name": "Hostile", "contact": "security@hostile.example"},
        "model": {
            "name": folder.name,
            "version": "1",
            "task": "classification",
            "artifact": artifact,
            "input": {"shape": [FEATURES]},
            "output": {"kind": output, "classes": CLASSES},
        },
        "data": {"evaluation": {"path": "data/eval.npz", "inputs": "x", "labels": "y"}},
    }
    (folder / "bundle.yaml").write_text(yaml.safe_dump(described))
    return folder


def rows() -> tuple[Any, Any]:
    """Inputs (64, 4) in 0..1 and their labels: which of the first three is largest."""
    inputs = np.random.default_rng(0).random((ROWS, FEATURES)).astype(np.float32)
    return inputs, inputs[:, :CLASSES].argmax(1)


def fine(path: Path) -> None:
    torch.manual_seed(0)
    _save(torch.nn.Linear(FEATURES, CLASSES), path)


class _Spinning(torch.nn.Module):
    """Answers ``patience`` questions, then computes for ever."""

    def __init__(self, patience: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(FEATURES, CLASSES)
        self.asked = 0
        self.patience = patience

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.asked += 1
        while self.asked > self.patience:
            self.asked = self.asked + 1
            inputs = inputs + 0.0
        answer: torch.Tensor = self.linear(inputs)
        return answer


def spins_after(patience: int) -> Writer:
    return lambda path: _save(_Spinning(patience), path)


class _SpinningAtLoad(torch.nn.Module):
    """Its ``__setstate__``, which the loader runs, counts for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(FEATURES, CLASSES)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.linear(inputs)
        return answer

    @torch.jit.export
    def __getstate__(self) -> tuple[bool, int]:
        return self.training, 0

    @torch.jit.export
    def __setstate__(self, state: tuple[bool, int]) -> None:
        self.training = state[0]
        count = state[1]
        while count >= 0:
            count += 1


def spins_at_load(path: Path) -> None:
    _save(_SpinningAtLoad(), path)


def loops_in_onnx(path: Path) -> None:
    """A Loop of 2^62 rounds, each of which adds nothing."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["still"]),
            helper.make_node("Add", ["had", "zero"], ["have"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("had", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("have", TensorProto.FLOAT, None),
        ],
    )
    _save_graph(
        [
            helper.make_node("MatMul", ["x", "weight"], ["scores"]),
            helper.make_node("Loop", ["rounds", "yes", "scores"], ["y"], body=body),
        ],
        [
            helper.make_tensor("rounds", TensorProto.INT64, [], [1 << 62]),
            helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
            helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        ],
        path,
    )


def allocates_in_onnx(path: Path) -> None:
    """Half a terabyte of zeros, announced by a shape of eight bytes."""
    _save_graph(
        [
            helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
            helper.make_node("ReduceSum", ["huge"], ["total"], keepdims=0),
            helper.make_node("MatMul", ["x", "weight"], ["scores"]),
            helper.make_node("Add", ["scores", "total"], ["y"]),
        ],
        [helper.make_tensor("shape", TensorProto.INT64, [1], [1 << 37])],
        path,
    )


def crashes_in_sklearn(path: Path) -> None:
    """A decision tree whose root points far outside its own memory."""
    joblib.dump(_tree_that_points_at(1 << 40), path)


def spins_in_sklearn(path: Path) -> None:
    """A decision tree whose root is its own child."""
    joblib.dump(_tree_that_points_at(0), path)


def forks_and_calls_home_when_unpickled(path: Path) -> None:
    source = "import os, socket\nos.fork()\nsocket.create_connection(('127.0.0.1', 9))"
    write_pickle(path, source)


def _tree_that_points_at(node: int) -> DecisionTreeClassifier:
    tree = DecisionTreeClassifier(random_state=0).fit(*rows())
    state = pickle.loads(pickle.dumps(tree.tree_.__getstate__()))
    state["nodes"]["left_child"][0] = state["nodes"]["right_child"][0] = node
    tree.tree_.__setstate__(state)
    return tree


def _save(module: torch.nn.Module, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates the format, vendors still ship it
        torch.jit.script(module).save(str(path))


def _save_graph(nodes: list[Any], constants: list[Any], path: Path) -> None:
    weight = helper.make_tensor(
        "weight", TensorProto.FLOAT, [FEATURES, CLASSES], np.eye(FEATURES, CLASSES).ravel().tolist()
    )
    graph = helper.make_graph(
        nodes,
        "hostile",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", CLASSES])],
        [weight, *constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, str(path))
