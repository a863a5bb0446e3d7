"""Opens ONNX files: with gradients where our conversion agrees with onnxruntime, else scores only.

onnxruntime is the reference for what the model answers; the conversion earns its place by giving
the same answers on inputs drawn from the declared range.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from tasks.domain.bundle import ModelSpec
from tasks.domain.errors import TargetError
from tasks.targets.in_batches import InBatches
from tasks.targets.onnx_graph import OnnxGraph
from tasks.targets.onnx_node import Unsupported
from tasks.targets.protocol import Images
from tasks.targets.score_target import ScoreTarget
from tasks.targets.torch_target import TorchTarget, bounds_of, contract, probe_inputs

onnxruntime.disable_telemetry_events()  # also where no sandbox sets ORT_DISABLE_TELEMETRY

MOST_NODES = 100_000
ABSOLUTE, RELATIVE = 1e-3, 1e-3
FUSED = "the final softmax is computed as its logarithm, so that gradients survive"
DTYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}


class Ports(NamedTuple):
    """Where inputs go in and scores come out, and for which batch size (None: any)."""

    input_name: str
    dtype: type[np.generic]
    output_name: str
    batch: int | None


class Runtime:
    """onnxruntime on one thread, asked in the batch size that the graph demands."""

    def __init__(self, data: bytes, model: ModelSpec) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self.session = onnxruntime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
        # onnxruntime raises its own classes for each way a graph can be broken.
        except Exception as error:
            raise TargetError(f"onnxruntime cannot open the graph: {_short(error)}") from error
        self.ports = self._ports(model)

    def answer(self, inputs: Images) -> NDArray[Any]:
        """Returns what the graph answers to normalised inputs (n, classes) or (n,)."""
        return np.concatenate(
            [self._run(part)[:kept] for part, kept in _parts(inputs, self.ports.batch)]
        )

    def _run(self, inputs: Images) -> NDArray[Any]:
        feed = {self.ports.input_name: inputs.astype(self.ports.dtype)}
        try:
            (answer,) = self.session.run([self.ports.output_name], feed)
        except Exception as error:  # see above
            raise TargetError(f"onnxruntime cannot run the graph: {_short(error)}") from error
        return _table(answer)

    def _ports(self, model: ModelSpec) -> Ports:
        spec, output, classes = contract(model)
        inputs = self.session.get_inputs()
        if len(inputs) != 1:
            names = ", ".join(port.name for port in inputs)
            raise TargetError(f"a classifier takes one input, this graph takes: {names}")
        (port,) = inputs
        if port.type not in DTYPES:
            raise TargetError(f"the graph takes {port.type}; known are {', '.join(DTYPES)}")
        sides = list(port.shape or [])
        wanted = [side if isinstance(side, int) else None for side in sides[1:]]
        fits = len(wanted) == len(spec.shape) and all(
            want in {None, got} for want, got in zip(wanted, spec.shape, strict=True)
        )
        if not fits:
            raise TargetError(f"the graph takes items of {sides[1:]}, the bundle says {spec.shape}")
        batch = sides[0] if isinstance(sides[0], int) else None
        self.ports = Ports(port.name, DTYPES[port.type], "", batch)
        probe = np.zeros((batch or 1, *spec.shape), np.float32)
        name = self._scores_name(probe, classes, labels=output.kind == "labels")
        return self.ports._replace(output_name=name)

    def _scores_name(self, probe: Images, classes: int, *, labels: bool) -> str:
        shapes: list[str] = []
        for port in self.session.get_outputs():
            self.ports = self.ports._replace(output_name=port.name)
            answer = self._run(probe)
            wanted = (len(probe),) if labels else (len(probe), classes)
            kinds = "iu" if labels else "f"
            if answer.shape == wanted and answer.dtype.kind in kinds:
                return str(port.name)
            shapes.append(f"{port.name} {answer.dtype} {answer.shape}")
        what = "labels" if labels else f"(n, {classes}) scores"
        raise TargetError(f"no output of the graph answers {what}: {'; '.join(shapes)}")


def open_onnx(
    artifact: Path, _architecture: Path | None, model: ModelSpec
) -> TorchTarget | ScoreTarget:
    """Opens an ONNX file.

    Raises:
        TargetError: Broken, with external data, or not what the bundle says.
    """
    data = artifact.read_bytes()
    proto = parsed(data)
    runtime = Runtime(data, model)
    try:
        return _with_gradients(proto, runtime, model)
    except Unsupported as reason:
        note = f"only scores: {reason}"
        return ScoreTarget(
            runtime.answer, model, kind="onnx", notes=(note,), parameters=_weights(proto)
        )


def parsed(data: bytes) -> onnx.ModelProto:
    """Returns the parsed model.

    Raises:
        TargetError: Not ONNX, too many nodes, or weights in other files.
    """
    try:
        proto = onnx.load_model_from_string(data)
    # protobuf raises its own class, which moves between its versions.
    except Exception as error:
        raise TargetError(f"this is not a valid ONNX file: {_short(error)}") from error
    if not proto.graph.node:
        raise TargetError("the ONNX graph has no nodes")
    if len(proto.graph.node) > MOST_NODES:
        raise TargetError(f"the ONNX graph has more than {MOST_NODES} nodes")
    outside = [t.name for t in _tensors(proto) if t.data_location == onnx.TensorProto.EXTERNAL]
    if outside:
        raise TargetError(
            f"{len(outside)} weights lie in other files ({', '.join(outside[:5])}): "
            "hand in one ONNX file that holds all its weights"
        )
    return proto


def _tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    graphs = [proto.graph]
    nodes = [node for function in proto.functions for node in function.node]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
            nodes.extend(graph.node)
            continue
        for attribute in nodes.pop().attribute:
            yield from (attribute.t, *attribute.tensors)
            graphs += [g for g in (attribute.g, *attribute.graphs) if g.node or g.initializer]


def _with_gradients(proto: onnx.ModelProto, runtime: Runtime, model: ModelSpec) -> TorchTarget:
    """Converts, compares with onnxruntime, and returns a differentiable target.

    Raises:
        Unsupported: An operator is unknown, or the answers differ.
    """
    _, output, _ = contract(model)
    if output.kind == "labels":
        raise Unsupported("the graph answers labels")
    ports = runtime.ports
    graph = OnnxGraph(proto, ports.input_name, ports.output_name, ports.batch)
    inputs, expected = _expected(runtime, model)
    network = _agreeing(graph, ports.batch, inputs, expected)
    if output.kind == "probabilities" and graph.fuse_softmax():
        model = model.model_copy(update={"output": output.model_copy(update={"kind": "logits"})})
        return TorchTarget(network, model, kind="onnx", notes=(FUSED,))
    return TorchTarget(network, model, kind="onnx")


def _expected(runtime: Runtime, model: ModelSpec) -> tuple[Images, NDArray[Any]]:
    """Returns normalised inputs from the declared range and onnxruntime's answers to them."""
    spec, _, _ = contract(model)
    per_channel = (-1,) + (1,) * (len(spec.shape) - 1)
    raw = probe_inputs(spec.shape, bounds_of(spec), 8)
    mean, std = (np.array(each, np.float32).reshape(per_channel) for each in (spec.mean, spec.std))
    inputs: Images = ((raw - mean) / std).astype(runtime.ports.dtype).astype(np.float32)
    return inputs, runtime.answer(inputs)


def _agreeing(
    graph: OnnxGraph, batch: int | None, inputs: Images, expected: NDArray[Any]
) -> torch.nn.Module:
    """Returns the first way of running the graph that gives onnxruntime's answers."""
    ways: list[torch.nn.Module] = [graph]
    if batch is not None:
        ways.append(InBatches(graph, batch))
    reason = ""
    for network in ways:
        try:
            with torch.no_grad():
                got = network(torch.from_numpy(inputs)).float().numpy()
        except (RuntimeError, ValueError, IndexError, TypeError, KeyError) as error:
            reason = f"the conversion fails ({_short(error)})"
            continue
        if got.shape == expected.shape and np.allclose(got, expected, RELATIVE, ABSOLUTE):
            return network
        gap = np.abs(got - expected).max() if got.shape == expected.shape else np.inf
        reason = f"the conversion differs from onnxruntime by {gap:.3g}"
    raise Unsupported(reason)


def _parts(inputs: Images, batch: int | None) -> Iterator[tuple[Images, int]]:
    """Yields batches of the demanded size, the last one padded, and how many rows count."""
    if batch is None:
        yield inputs, len(inputs)
        return
    for start in range(0, len(inputs), batch):
        part = inputs[start : start + batch]
        padding = np.repeat(part[-1:], batch - len(part), axis=0)
        yield np.concatenate([part, padding]), len(part)


def _table(answer: Any) -> NDArray[Any]:
    """Turns a list of class-to-probability maps (ZipMap) into columns in class order."""
    if isinstance(answer, list) and answer and isinstance(answer[0], dict):
        keys = sorted(answer[0])
        return np.array([[row.get(key, np.nan) for key in keys] for row in answer], np.float32)
    return np.asarray(answer)


def _weights(proto: onnx.ModelProto) -> int:
    return sum(int(np.prod(tensor.dims)) for tensor in proto.graph.initializer)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
