"""Weights from a safetensors file, matched to the layers of a list.

Names in real files differ (``conv1.0.weight``, ``7.bias``). Three ways, in this order: the
``weights`` map of the layer list, equal names, and natural order where the shapes leave no doubt.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open

from tasks.domain.bundle import ModelSpec
from tasks.domain.errors import TargetError
from tasks.targets.layer_file import read_layer_file
from tasks.targets.layers import MOST_PARAMETERS, filled, plan_network
from tasks.targets.torch_target import TorchTarget, contract

MOST_TENSORS = 20_000
COUNTERS = "num_batches_tracked"
FLOATS = {"F64", "F32", "F16", "BF16"}
Shape = tuple[int, ...]
Group = tuple[tuple[str, Shape], ...]
"""What one layer holds: sorted (leaf name, shape)."""


def open_safetensors(artifact: Path, architecture: Path | None, model: ModelSpec) -> TorchTarget:
    """Opens weights with their layer list.

    Raises:
        TargetError: No layer list, or it does not fit the tensors; lists every mismatch.
    """
    if architecture is None:
        raise TargetError(
            "safetensors hold weights without a graph: add model.architecture, a layer list"
        )
    spec, output, classes = contract(model)
    read = read_layer_file(architecture)
    plan = plan_network(read, spec.shape, classes)
    names, notes = matched(plan.wanted, file_shapes(artifact), read.weights)
    tensors = _load(artifact, names)
    network = filled(plan, tensors)
    fused = fuse_softmax(network) if output.kind == "probabilities" else None
    if fused is not None:
        logits = model.model_copy(update={"output": output.model_copy(update={"kind": "logits"})})
        note = "the final softmax is computed as its logarithm, so that gradients survive"
        return TorchTarget(fused, logits, kind="safetensors", notes=(*notes, note))
    return TorchTarget(network, model, kind="safetensors", notes=notes)


def tensor_names(artifact: Path, architecture: Path, model: ModelSpec) -> dict[str, str]:
    """Returns which tensor of the file each parameter of the opened network is.

    Raises:
        TargetError: As :func:`open_safetensors`.
    """
    spec, _, classes = contract(model)
    read = read_layer_file(architecture)
    plan = plan_network(read, spec.shape, classes)
    return matched(plan.wanted, file_shapes(artifact), read.weights).names


def fuse_softmax(network: torch.nn.Sequential) -> torch.nn.Sequential | None:
    """Returns the network with its final softmax as log-softmax; None if it ends otherwise."""
    last = network[-1]
    if isinstance(last, torch.nn.Softmax | torch.nn.LogSoftmax):
        return torch.nn.Sequential(*list(network)[:-1], torch.nn.LogSoftmax(dim=last.dim))
    return None


def file_shapes(path: Path) -> dict[str, Shape]:
    """Returns the shape of each weight in the file, read from its header alone.

    Raises:
        TargetError: Not a safetensors file, or larger than the limits, or not of floats.
    """
    shapes: dict[str, Shape] = {}
    problems: list[str] = []
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            for name in list(file.keys())[: MOST_TENSORS + 1]:
                part = file.get_slice(name)
                if name.endswith(COUNTERS):
                    continue
                if part.get_dtype() not in FLOATS:
                    problems.append(f"{name} is {part.get_dtype()}, weights are floats")
                shapes[name] = tuple(part.get_shape())
    except (SafetensorError, OSError, ValueError) as error:
        raise TargetError(f"this is not a valid safetensors file: {error}") from error
    if len(shapes) > MOST_TENSORS:
        problems.append(f"more than {MOST_TENSORS} tensors")
    if sum(torch.Size(shape).numel() for shape in shapes.values()) > MOST_PARAMETERS:
        problems.append(f"more than {MOST_PARAMETERS} parameters")
    if problems:
        raise TargetError(f"the weights cannot be used: {'; '.join(problems[:50])}")
    return shapes


class Match(NamedTuple):
    """Our parameter name to the file's tensor name, and what a reader should know."""

    names: dict[str, str]
    notes: tuple[str, ...]


def matched(
    wanted: Mapping[str, Shape], found: Mapping[str, Shape], weights: Mapping[str, str]
) -> Match:
    """Decides which tensor of the file is which parameter.

    Raises:
        TargetError: There is no single answer, or shapes differ, or tensors are left over.
    """
    if weights:
        return Match(_checked(wanted, found, _by_map(wanted, weights)), ())
    if set(wanted) == set(found):
        return Match(_checked(wanted, found, {name: name for name in wanted}), ())
    ours, theirs = _groups(wanted), _groups(found)
    pairs = _in_order(ours, theirs) or _by_shape(ours, theirs)
    if pairs is None:
        raise TargetError(_no_match(wanted, found))
    names = {
        _joined(our, leaf): _joined(their, leaf)
        for our, their in pairs.items()
        for leaf, _ in ours[our]
    }
    return Match(names, ("tensor names differ from the layer list: matched by order and shape",))


def _by_map(wanted: Mapping[str, Shape], weights: Mapping[str, str]) -> dict[str, str]:
    """Follows the map from full names or layer prefixes; names left out keep their own."""
    forward = dict(weights)
    if not any(_covers(key, wanted) for key in weights):
        forward = {ours: theirs for theirs, ours in weights.items()}
    if unknown := sorted(key for key in forward if not _covers(key, wanted)):
        raise TargetError(
            f"the weights map names {', '.join(unknown[:20])}; known are {', '.join(wanted)}"
        )
    names = {}
    for name in wanted:
        prefix, _, leaf = name.rpartition(".")
        names[name] = forward.get(name) or (
            f"{forward[prefix]}.{leaf}" if prefix in forward else name
        )
    return names


def _covers(key: str, wanted: Mapping[str, Shape]) -> bool:
    return any(name == key or name.rpartition(".")[0] == key for name in wanted)


def _checked(
    wanted: Mapping[str, Shape], found: Mapping[str, Shape], names: dict[str, str]
) -> dict[str, str]:
    problems = [
        f"{ours} wants {wanted[ours]}, {theirs} is {found.get(theirs, 'not in the file')}"
        for ours, theirs in names.items()
        if found.get(theirs) != wanted[ours]
    ]
    used = list(names.values())
    problems += [f"{name} is used twice" for name in sorted(set(used)) if used.count(name) > 1]
    problems += [
        f"{name} is in the file and in no layer" for name in sorted(set(found) - set(used))
    ]
    if problems:
        raise TargetError(f"weights and layers do not fit: {'; '.join(problems[:50])}")
    return names


def _groups(shapes: Mapping[str, Shape]) -> dict[str, Group]:
    """Groups parameters by layer, in natural order (``2`` before ``10``)."""
    grouped: dict[str, list[tuple[str, Shape]]] = defaultdict(list)
    for name in sorted(shapes, key=_natural):
        prefix, _, leaf = name.rpartition(".")
        grouped[prefix].append((leaf, shapes[name]))
    return {prefix: tuple(sorted(members)) for prefix, members in grouped.items()}


def _in_order(ours: dict[str, Group], theirs: dict[str, Group]) -> dict[str, str] | None:
    if list(ours.values()) != list(theirs.values()):
        return None
    return dict(zip(ours, theirs, strict=True))


def _by_shape(ours: dict[str, Group], theirs: dict[str, Group]) -> dict[str, str] | None:
    """Matches layers whose shapes occur once on both sides; None when any occurs twice."""
    places = {group: prefix for prefix, group in theirs.items()}
    unique = len(places) == len(theirs) and len(set(ours.values())) == len(ours)
    if not unique or set(places) != set(ours.values()):
        return None
    return {prefix: places[group] for prefix, group in ours.items()}


def _no_match(wanted: Mapping[str, Shape], found: Mapping[str, Shape]) -> str:
    left = "; ".join(f"{name} {shape}" for name, shape in list(wanted.items())[:50])
    right = "; ".join(f"{name} {found[name]}" for name in sorted(found, key=_natural)[:50])
    return (
        f"weights and layers do not fit without doubt. The layers want: {left}. "
        f"The file has: {right}. Correct the layers, or name each in the weights map"
    )


def _natural(name: str) -> list[tuple[int, int | str]]:
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name)]


def _joined(prefix: str, leaf: str) -> str:
    return f"{prefix}.{leaf}" if prefix else leaf


def _load(path: Path, names: Mapping[str, str]) -> dict[str, torch.Tensor]:
    with safe_open(path, framework="pt", device="cpu") as file:
        tensors = {ours: file.get_tensor(theirs).float() for ours, theirs in names.items()}
    if bad := sorted(names[name] for name, value in tensors.items() if not value.isfinite().all()):
        raise TargetError(f"weights are NaN or infinite: {', '.join(bad[:20])}")
    return tensors
