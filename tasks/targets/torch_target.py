"""A classifier that computes in torch: raw inputs in, scores out, every pass counted.

Every kind of differentiable model ends here. What may be wrong with a vendor's network (shape,
classes, NaN, randomness, hidden batch effects) is found once, when the target is opened.
"""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from tasks.domain.bundle import InputSpec, ModelSpec, OutputSpec
from tasks.domain.errors import TargetError
from tasks.sandbox.gpu import LOW_PRECISION
from tasks.targets.protocol import Access, Images, Meter, Scores, product

CHUNK_VALUES = 1 << 20
CHUNK_ITEMS = 256
# An untouched probability of 0 would become -inf; float32 holds nothing smaller than this.
SMALLEST = float(np.finfo(np.float32).tiny)


def contract(model: ModelSpec) -> tuple[InputSpec, OutputSpec, int]:
    """Returns input, output and number of classes of a classifier's description.

    Raises:
        TargetError: The description is not one of a classifier.
    """
    if model.task != "classification" or model.input is None or model.output is None:
        raise TargetError(
            f"only classifiers with input and output can be opened, this is {model.task}: "
            "complete model.input and model.output in bundle.yaml"
        )
    if model.output.classes is None or model.output.kind in {"value", "text"}:
        raise TargetError(f"a classifier cannot answer {model.output.kind} without classes")
    return model.input, model.output, model.output.classes


def bounds_of(spec: InputSpec) -> tuple[float, float]:
    """Returns the raw range; uint8 inputs without a stated range lie in 0..255."""
    if spec.dtype == "uint8" and spec.range == (0.0, 1.0):
        return 0.0, 255.0
    return spec.range


def chunks(total: int, shape: tuple[int, ...]) -> Iterator[slice]:
    """Yields slices that cover ``total`` items of ``shape`` and fit memory."""
    size = max(1, min(CHUNK_ITEMS, CHUNK_VALUES // max(1, product(shape))))
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))


def checked_inputs(inputs: Images, shape: tuple[int, ...]) -> Images:
    """Returns ``inputs`` as contiguous float32, if each item has ``shape``.

    Raises:
        TargetError: The items have another shape.
    """
    if tuple(inputs.shape[1:]) != shape:
        raise TargetError(f"the model takes items of shape {shape}, got {tuple(inputs.shape[1:])}")
    return np.ascontiguousarray(inputs, dtype=np.float32)


def checked_scores(scores: Scores, count: int, classes: int) -> Scores:
    """Returns ``scores`` if they are (count, classes) and finite.

    Raises:
        TargetError: They are not; says expected against got.
    """
    if tuple(scores.shape) != (count, classes):
        raise TargetError(
            f"the model answers {tuple(scores.shape)} for {count} inputs, the bundle says "
            f"({count}, {classes}): correct output.classes or the architecture"
        )
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).any(axis=1).sum())
        raise TargetError(f"the model answers NaN or infinity for {bad} of {count} inputs")
    return np.ascontiguousarray(scores, dtype=np.float32)


class RawScores(torch.nn.Module):
    """From raw inputs (batch, …) to scores (batch, classes), differentiable, counting passes."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: torch.nn.Module, model: ModelSpec, meter: Meter) -> None:
        super().__init__()
        spec, output, _ = contract(model)
        per_channel = (-1,) + (1,) * (len(spec.shape) - 1)
        self.network = network
        self.meter = meter
        self.by_pixel = len(spec.shape) == 3 and spec.shape[0] > 1 and _ordered_by_pixel(network)
        self.plain = set(spec.mean) == {0.0} and set(spec.std) == {1.0}
        self.probabilities = output.kind == "probabilities"
        self.register_buffer("mean", torch.tensor(spec.mean).reshape(per_channel))
        self.register_buffer("std", torch.tensor(spec.std).reshape(per_channel))

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        """Answers scores; probabilities become their logarithms.

        Computes where the network lies, and answers where it was asked: callers need not know of a
        GPU.
        """
        count = len(raw)
        self.meter.forwards += count
        here = raw.to(self.mean.device)
        inputs = here if self.plain else (here - self.mean) / self.std
        if self.by_pixel:
            inputs = _pixel_by_pixel(inputs)
        scores = _only_tensor(self.network(inputs)).to(raw.device, torch.float32)
        if self.probabilities:
            scores = scores.clamp_min(SMALLEST).log()
        if scores.requires_grad:
            scores.register_hook(lambda _: self._count_backward(count))
        return scores

    def _count_backward(self, count: int) -> None:
        self.meter.backwards += count


def _ordered_by_pixel(network: torch.nn.Module) -> bool:
    """Lays the weights of convolutions out with channels last; answers whether there are any.

    Convolutions over several channels then read memory in order: a tenth to a third faster. A
    vendor's own graph, which may take tensors apart by their order in memory, has no such layers.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    for layer in layers:
        layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
    return bool(layers)


def _pixel_by_pixel(inputs: torch.Tensor) -> torch.Tensor:
    """Returns the batch with the channels of a pixel side by side; slopes come back as usual."""
    if inputs.requires_grad:
        inputs = inputs.view_as(inputs)
        inputs.register_hook(torch.Tensor.contiguous)
    return inputs.contiguous(memory_format=torch.channels_last)


def _only_tensor(answer: Any) -> torch.Tensor:
    if isinstance(answer, tuple | list) and len(answer) == 1:
        answer = answer[0]
    if not isinstance(answer, torch.Tensor):
        raise TargetError(f"the network answers a {type(answer).__name__}, not one tensor")
    return answer


class TorchTarget:
    """A network in evaluation mode with frozen float32 weights.

    Args:
        network: Takes normalised inputs, answers what ``model.output`` says.
        model: The bundle's description.
        kind: Which sort of artifact it came from.
        notes: What a reader should know, in sentences.

    Raises:
        TargetError: The network does not do what the description says.
    """

    def __init__(
        self, network: torch.nn.Module, model: ModelSpec, *, kind: str, notes: tuple[str, ...] = ()
    ) -> None:
        spec, _, self.classes = contract(model)
        self.input_shape = spec.shape
        self.bounds = bounds_of(spec)
        self.access = Access.GRADIENTS
        self.meter = Meter()
        self.kind = kind
        self.notes = list(notes)
        network.eval()
        weights = list(network.parameters())
        for weight in weights:
            weight.requires_grad = False
        self.parameters = sum(weight.numel() for weight in weights)
        device, unused = given_device()
        self.notes += unused
        self.fast = device.type == "cuda" and bool(os.environ.get(LOW_PRECISION))
        self.scorer = RawScores(network, model, self.meter).to(device)
        self.scorer.training = False  # the network is in evaluation mode already
        self.module: torch.nn.Module | None = self.scorer
        self.deterministic = self._inspect()

    def scores(self, inputs: Images) -> Scores:
        """Answers a batch of any size, in chunks that fit memory.

        Raises:
            TargetError: Wrong item shape, or the model answers NaN or the wrong shape.
        """
        batch = checked_inputs(inputs, self.input_shape)
        answers = [self._chunk(batch[part]) for part in chunks(len(batch), self.input_shape)] or [
            np.zeros((0, self.classes), np.float32)
        ]
        return checked_scores(np.concatenate(answers), len(batch), self.classes)

    def describe(self) -> dict[str, Any]:
        """Says what it is, as JSON values."""
        return {
            "kind": self.kind,
            "access": self.access.value,
            "classes": self.classes,
            "input_shape": list(self.input_shape),
            "bounds": list(self.bounds),
            "parameters": self.parameters,
            "deterministic": self.deterministic,
            "notes": list(self.notes),
        }

    def _chunk(self, batch: Images) -> Scores:
        try:
            with torch.no_grad():
                answer: Scores = self.scorer(torch.from_numpy(batch)).numpy()
        except (RuntimeError, IndexError, ValueError, TypeError, NotImplementedError) as error:
            raise TargetError(f"the network cannot compute {batch.shape}: {error}") from error
        return checked_scores(answer, len(batch), self.classes)

    def _inspect(self) -> bool:
        """Tries a few inputs, so that what is wrong is said at opening and not in an attack."""
        probe = probe_inputs(self.input_shape, self.bounds, 4)
        first, again = self.scores(probe), self.scores(probe)
        alone = np.concatenate([self.scores(one[None]) for one in probe])
        deterministic = bool(np.array_equal(first, again))
        if not deterministic:
            self.notes.append("the same inputs got different scores twice: not deterministic")
        elif not np.allclose(first, alone, rtol=1e-3, atol=1e-3):
            self.notes.append("the score of an input depends on the batch it comes in")
        if not self.scorer.probabilities and looks_like_probabilities(first):
            self.scorer.probabilities = True
            self.notes.append(
                "the bundle says logits, the model answers probabilities: read as probabilities"
            )
        if problem := self._gradient_problem(probe):
            self.access, self.module = Access.SCORES, None
            self.notes.append(f"only scores: {problem}")
        self.meter.forwards = self.meter.backwards = 0
        return deterministic

    def _gradient_problem(self, probe: Images) -> str:
        raw = torch.from_numpy(probe).requires_grad_()
        try:
            with torch.enable_grad():
                total = self.scorer(raw).square().sum()
            (gradient,) = torch.autograd.grad(total, raw)
        except RuntimeError as error:
            return f"the network cannot be differentiated ({str(error).splitlines()[0]})"
        return "" if torch.isfinite(gradient).all() else "the gradient is NaN or infinite"


def given_device() -> tuple[torch.device, list[str]]:
    """Returns the GPU that this process was handed, or the CPU; and what a reader should know.

    The sandbox names its child a GPU when the profile says so, and only then.
    """
    if not os.environ.get("CUDA_VISIBLE_DEVICES"):
        return torch.device("cpu"), []
    if not torch.cuda.is_available():
        return torch.device("cpu"), [
            "a GPU was handed on that torch cannot use: on the CPU instead"
        ]
    # Numbers on a GPU are those of the CPU up to rounding, and the same every time.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    return torch.device("cuda"), []


def probe_inputs(shape: tuple[int, ...], bounds: tuple[float, float], count: int) -> Images:
    """Returns fixed pseudo-random raw inputs (count, *shape) within ``bounds``."""
    low, high = bounds
    drawn = np.random.default_rng(20).uniform(low, high, (count, *shape))
    return drawn.astype(np.float32)


def looks_like_probabilities(scores: Scores) -> bool:
    """Answers whether every row is non-negative and sums to one."""
    return bool((scores >= 0).all() and np.allclose(scores.sum(axis=1), 1, atol=1e-4))
