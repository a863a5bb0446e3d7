"""Numbers inside weight files, read as bytes: are they finite, and are there any at all?

Tensors are found by structure (safetensors header, npy header, ONNX initialisers, storages named in
``data.pkl``) and streamed; no framework is imported.
"""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tasks.sandbox.protocol import Array, Reply
from tasks.scanners.inspection import Inspection, Notes
from tasks.scanners.npy_array import BrokenHeader, read_header
from tasks.scanners.onnx_graph import looks_like_onnx
from tasks.scanners.reading import Budget, View, open_regular
from tasks.scanners.safetensors_file import BITS, looks_like_safetensors, read_tensors
from tasks.scanners.storages import torch_storages
from tasks.scanners.wire import fields, packed
from tasks.scanners.zip_container import find_end, member_view, read_directory

STEP_BYTES = 8 << 20
MOST_TENSORS = 200_000
_SAFE = {"F64": "f8", "F32": "f4", "F16": "f2", "BF16": "bf16", "C64": "c8"}
_ONNX = {1: "f4", 10: "f2", 11: "f8", 14: "c8", 15: "c16", 16: "bf16"}


@dataclasses.dataclass(frozen=True)
class Numbers:
    """One tensor: its name, kind (``f4``, ``bf16``, ``i8`` …), place and bytes."""

    name: str
    kind: str
    place: str
    view: View


@dataclasses.dataclass
class Tally:
    """What was counted in one tensor."""

    name: str
    kind: str
    place: str
    elements: int = 0
    not_finite: int = 0
    subnormal: int = 0
    zeros: int = 0


def read_weights(*, path: str, name: str) -> Reply:
    """Procedure for the sandboxed child: counts every tensor of one file.

    Returns:
        ``supported`` says whether this kind of file has a tensor table that is read here; then
        ``tensors`` lists one dict of :class:`Tally` per tensor.
    """
    descriptor, size = open_regular(Path(path))
    view = View.of_file(descriptor, size)
    inspection = Inspection(name, name, Budget(root_bytes=size), Notes(), lambda _v, _i: "unknown")
    source = _source(view, inspection)
    if source is None:
        return Reply({}, {"supported": False, "tensors": []})
    tallies = [dataclasses.asdict(_tally(each)) for each in source]
    values: dict[str, Any] = {"supported": True, "tensors": tallies[:MOST_TENSORS]}
    return Reply({}, values)


def _source(view: View, inspection: Inspection) -> Iterator[Numbers] | None:
    if find_end(view) is not None:
        return _zipped(view, inspection)
    if looks_like_safetensors(view):
        return _safetensors(view, inspection)
    if view.head(6) == b"\x93NUMPY":
        return _npy(view, "array", inspection.name)
    return _onnx(view, inspection) if looks_like_onnx(view) else None


def _safetensors(view: View, inspection: Inspection) -> Iterator[Numbers]:
    for tensor in read_tensors(view, inspection):
        kind = _SAFE.get(tensor.dtype, f"u{max(BITS[tensor.dtype] // 8, 1)}")
        part = view.part(tensor.start, tensor.end - tensor.start)
        yield Numbers(tensor.name, kind, f"{inspection.name}:{tensor.start}", part)


def _npy(view: View, name: str, place: str) -> Iterator[Numbers]:
    try:
        start, descr, _ = read_header(view)
    except BrokenHeader:
        return
    kind = descr if isinstance(descr, str) else "record"
    yield Numbers(name, kind.lstrip("<=|"), f"{place}:{start}", view.part(start))


def _zipped(view: View, inspection: Inspection) -> Iterator[Numbers]:
    directory = read_directory(view, inspection)
    members = {member.name: member for member in directory.members}
    for member in directory.members:
        if member.name.endswith(".npy"):
            content = member_view(view, member, inspection)
            if content is not None:
                yield from _npy(content, member.name, f"{inspection.name}!{member.name}")
        elif re.fullmatch(r"[^/]+/data\.pkl", member.name):
            content = member_view(view, member, inspection)
            root = member.name.rpartition("/")[0]
            for key, kind in torch_storages(content, inspection) if content else ():
                stored = members.get(f"{root}/data/{key}")
                numbers = member_view(view, stored, inspection) if stored else None
                if stored and numbers is not None:
                    yield Numbers(key, kind, f"{inspection.name}!{stored.name}", numbers)


def _onnx(view: View, inspection: Inspection) -> Iterator[Numbers]:
    for top in fields(view):
        if top.number != 7:
            continue
        for field in fields(top.payload):
            if field.number == 5:
                yield from _initialiser(field.payload, inspection.name)


def _initialiser(view: View, place: str) -> Iterator[Numbers]:
    """Field numbers of TensorProto: 2 type, 4 floats, 8 name, 9 raw bytes, 10 doubles."""
    found = {field.number: field for field in fields(view)}
    kind = _ONNX.get(packed(found[2])[0] if 2 in found else 0, "i8")
    name = found[8].text(256) if 8 in found else ""
    for number, stored in ((9, kind), (4, "f4"), (10, "f8")):
        if number in found and found[number].payload.size:
            yield Numbers(
                name, stored, f"{place}:{found[number].payload.start}", found[number].payload
            )
            return
    yield Numbers(name, kind, place, View.of_bytes(b""))


def _tally(numbers: Numbers) -> Tally:
    tally = Tally(numbers.name[:200], numbers.kind, numbers.place[:400])
    width = _width(numbers.kind)
    tally.elements = numbers.view.size // width
    if numbers.kind.lstrip(">")[:1] in ("f", "c", "b") and numbers.kind[:2] != "b1":
        for offset in range(0, numbers.view.size - width + 1, STEP_BYTES):
            data = numbers.view.read(offset, STEP_BYTES)
            _count(tally, data[: len(data) // width * width])
    return tally


def _width(kind: str) -> int:
    digits = re.sub(r"\D", "", kind)
    return {"bf16": 2}.get(kind) or max(int(digits or 1) if len(digits) < 4 else 1, 1)


def _count(tally: Tally, data: bytes) -> None:
    values, tiny = _floats(tally.kind, data)
    if values is None:
        return
    sizes = np.abs(values)
    tally.not_finite += int(np.count_nonzero(~np.isfinite(sizes)))
    tally.subnormal += int(np.count_nonzero((sizes > 0) & (sizes < tiny)))
    tally.zeros += int(np.count_nonzero(sizes == 0))


def _floats(kind: str, data: bytes) -> tuple[Array | None, float]:
    if kind == "bf16":
        wide = np.frombuffer(data, "<u2").astype("<u4") << 16
        return wide.view("<f4"), float(np.finfo("f4").tiny)
    order, bare = (">", kind[1:]) if kind.startswith(">") else ("<", kind)
    if bare not in ("f2", "f4", "f8", "c8", "c16"):
        return None, 0.0
    real = {"c8": "f4", "c16": "f8"}.get(bare, bare)
    return np.frombuffer(data, order + real), float(np.finfo(real).tiny)
