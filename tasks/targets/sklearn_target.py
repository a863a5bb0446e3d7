"""From a fitted scikit-learn classifier to a target.

Linear models and perceptrons, with scalers before them, become torch networks when those give the
same answers; everything else (trees, neighbours, ensembles) is asked for scores only.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tasks.domain.bundle import ModelSpec, OutputSpec
from tasks.domain.errors import TargetError
from tasks.targets.protocol import Images
from tasks.targets.score_target import ScoreTarget
from tasks.targets.torch_target import (
    SMALLEST,
    TorchTarget,
    bounds_of,
    contract,
    probe_inputs,
)

TOLERANCE = 1e-3
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "logistic": nn.Sigmoid,
    "identity": nn.Identity,
}


def sklearn_target(estimator: Any, model: ModelSpec) -> TorchTarget | ScoreTarget:
    """Wraps a fitted classifier; items are flattened to rows, as scikit-learn wants them.

    Raises:
        TargetError: It is no classifier of the classes that the bundle says.
    """
    _, output, classes = contract(model)
    answer = _answer(estimator, output, classes)
    network = None if output.kind == "labels" else _converted(estimator)
    if network is not None and _agrees(network, answer, model):
        logits = model.model_copy(update={"output": output.model_copy(update={"kind": "logits"})})
        return TorchTarget(network, logits, kind="sklearn")
    name = type(estimator).__name__
    if output.kind != "labels":
        wanted = output.model_copy(update={"kind": "probabilities"})
        model = model.model_copy(update={"output": wanted})
    note = f"only {'labels' if output.kind == 'labels' else 'scores'}: {name} has no gradients here"
    return ScoreTarget(answer, model, kind="sklearn", notes=(note,))


def _answer(estimator: Any, output: OutputSpec, classes: int) -> Callable[[Images], NDArray[Any]]:
    """Returns a function from items to probabilities, or to labels, in columns 0..classes-1."""
    known = np.asarray(getattr(estimator, "classes_", []))
    if known.dtype.kind not in "iu" or not set(known.tolist()) <= set(range(classes)):
        raise TargetError(f"the model's classes are {known.tolist()[:20]}, not 0..{classes - 1}")
    method = "predict" if output.kind == "labels" else "predict_proba"
    if not hasattr(estimator, method):
        raise TargetError(f"{type(estimator).__name__} has no {method}: say output.kind labels")

    def answer(inputs: Images) -> NDArray[Any]:
        rows = inputs.reshape(len(inputs), -1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                raw = np.asarray(getattr(estimator, method)(rows))
            except (ValueError, TypeError, AttributeError) as error:
                raise TargetError(f"the model cannot take {rows.shape}: {error}") from error
        if output.kind == "labels":
            return raw
        wide = np.zeros((len(rows), classes))
        wide[:, known] = raw
        return wide

    return answer


def _converted(estimator: Any) -> nn.Module | None:
    """Returns a network for the estimators whose arithmetic is known here, else None."""
    steps = [step for _, step in getattr(estimator, "steps", [("", estimator)])]
    parts: list[nn.Module] = [nn.Flatten()]
    for step in steps[:-1]:
        scaling = _scaling(step)
        if scaling is None:
            return None
        parts.append(scaling)
    last = _classifier(steps[-1])
    return None if last is None else nn.Sequential(*parts, last, nn.LogSoftmax(dim=1))


class _Scaled(nn.Module):
    def __init__(self, factor: Any, offset: Any) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.as_tensor(np.asarray(factor, np.float32)))
        self.offset = nn.Parameter(torch.as_tensor(np.asarray(offset, np.float32)))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs * self.factor + self.offset


def _scaling(step: Any) -> nn.Module | None:
    name = type(step).__name__
    if name == "StandardScaler":
        factor = 1.0 if step.scale_ is None else 1.0 / np.asarray(step.scale_)
        middle = 0.0 if step.mean_ is None else np.asarray(step.mean_)
        return _Scaled(factor, -middle * factor)
    if name == "MinMaxScaler" and not step.clip:
        return _Scaled(step.scale_, step.min_)
    return None


def _classifier(step: Any) -> nn.Module | None:
    name = type(step).__name__
    if name == "LogisticRegression":
        return _linear(np.asarray(step.coef_).T, np.asarray(step.intercept_))
    if name == "MLPClassifier" and step.activation in ACTIVATIONS:
        parts: list[nn.Module] = []
        for weights, bias in zip(step.coefs_, step.intercepts_, strict=True):
            parts += [_linear(weights, bias), ACTIVATIONS[step.activation]()]
        return nn.Sequential(*parts[:-1])
    return None


def _linear(weights: NDArray[Any], bias: NDArray[Any]) -> nn.Module:
    """Builds ``x @ weights + bias``; one column is the log-odds of class 1 against class 0."""
    if weights.shape[1] == 1:
        weights = np.concatenate([np.zeros_like(weights), weights], axis=1)
        bias = np.concatenate([np.zeros_like(bias), bias])
    layer = nn.Linear(*weights.shape)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(weights.T)))
        layer.bias.copy_(torch.from_numpy(np.asarray(bias)))
    return layer


def _agrees(network: nn.Module, answer: Callable[[Images], NDArray[Any]], model: ModelSpec) -> bool:
    """Compares probabilities on raw inputs from the declared range, after normalisation."""
    spec, _, classes = contract(model)
    per_channel = (-1,) + (1,) * (len(spec.shape) - 1)
    mean, std = (np.array(each, np.float32).reshape(per_channel) for each in (spec.mean, spec.std))
    inputs = ((probe_inputs(spec.shape, bounds_of(spec), 16) - mean) / std).astype(np.float32)
    expected = answer(inputs)
    try:
        with torch.no_grad():
            got = network(torch.from_numpy(inputs)).numpy()
    except RuntimeError:
        return False
    if got.shape != expected.shape or got.shape[1] != classes:
        return False
    return bool(np.allclose(np.exp(got), np.maximum(expected, SMALLEST), atol=TOLERANCE))
