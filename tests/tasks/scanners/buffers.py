"""FlatBuffers programs (ExecuTorch, TensorFlow Lite) and HDF5 files, written for the corpora."""

import io
import json
import struct
from collections.abc import Callable, Sequence
from typing import Any

import flatbuffers
import h5py
import numpy as np

Slots = dict[int, Any]


def _table(builder: Any, slots: Slots) -> int:
    """Writes a table; values are offsets made before, or (size, number) scalars."""
    builder.StartObject(max(slots, default=0) + 1)
    for slot, value in slots.items():
        if isinstance(value, tuple):
            add = {1: builder.PrependUint8Slot, 8: builder.PrependUint64Slot}[value[0]]
            add(slot, value[1], 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    return int(builder.EndObject())


def _vector(builder: Any, items: Sequence[int]) -> int:
    builder.StartVector(4, len(items), 4)
    for item in reversed(items):
        builder.PrependUOffsetTRelative(item)
    return int(builder.EndVector())


def executorch(
    *,
    operators: Sequence[str] = ("aten::add",),
    delegates: Sequence[str] = (),
    data: bytes = b"",
    segment: bytes | None = None,
    methods: int = 1,
) -> bytes:
    """A program of one method; slot numbers as in ``executorch_file``."""
    builder = flatbuffers.Builder(256)
    names = [builder.CreateString(name) for name in operators]
    made = _vector(builder, [_table(builder, {0: name}) for name in names])
    ids = [builder.CreateString(name) for name in delegates]
    handed = _vector(builder, [_table(builder, {0: name}) for name in ids])
    plans = _vector(builder, [_table(builder, {6: made, 7: handed}) for _ in range(methods)])
    slots: Slots = {1: plans}
    if data:
        slots[3] = _vector(builder, [_table(builder, {0: builder.CreateByteVector(data)})])
    if segment is not None:
        slots[4] = _vector(builder, [_table(builder, {1: (8, len(segment))})])
    builder.Finish(_table(builder, slots), file_identifier=b"ET12")
    program = bytes(builder.Output())
    if segment is None:
        return program
    return _with_header(program, segment)


def _with_header(program: bytes, segment: bytes) -> bytes:
    """The extended header lies between the identifier and the tables, so offsets move by it."""
    head = struct.pack("<4sLQQ", b"eh00", 24, len(program) + 24, len(program) + 24)
    root = struct.unpack_from("<L", program)[0] + 24
    return struct.pack("<L", root) + program[4:8] + head + program[8:] + segment


def tflite(*, custom: Sequence[str] = (), graphs: int = 1, buffer: bytes = b"") -> bytes:
    """A model with one built-in operator and the custom ones named."""
    builder = flatbuffers.Builder(256)
    names = [builder.CreateString(name) for name in custom]
    codes = _vector(builder, [_table(builder, {1: name}) for name in names] + [_table(builder, {})])
    subgraphs = _vector(builder, [_table(builder, {}) for _ in range(graphs)])
    content = builder.CreateByteVector(buffer)
    buffers = _vector(builder, [_table(builder, {0: content})])
    builder.Finish(_table(builder, {1: codes, 2: subgraphs, 4: buffers}), file_identifier=b"TFL3")
    return bytes(builder.Output())


def hdf5(fill: Callable[[h5py.File], None], **options: Any) -> bytes:
    """The bytes of a file that ``fill`` writes."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as file:
        fill(file)
    return buffer.getvalue()


def keras_h5(layers: Sequence[dict[str, Any]], *, groups: int = 3) -> Callable[[h5py.File], None]:
    """What Keras writes: the configuration as an attribute, weights in groups."""

    def fill(file: h5py.File) -> None:
        config = {"class_name": "Sequential", "config": {"layers": list(layers)}}
        file.attrs["model_config"] = json.dumps(config).encode()
        file.attrs["keras_version"] = "2.15.0"
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = np.array([f"dense_{i}".encode() for i in range(groups)])
        for index in range(groups):
            group = weights.create_group(f"dense_{index}")
            group.create_dataset("kernel:0", data=np.ones((3, 4), "f4"), compression="gzip")

    return fill


DENSE = {"class_name": "Dense", "config": {"units": 1, "activation": "relu"}}
LAMBDA = {
    "class_name": "Lambda",
    "config": {"function": ["4wA=", None, None], "function_type": "lambda"},
}
