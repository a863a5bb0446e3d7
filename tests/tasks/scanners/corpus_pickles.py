"""Hostile pickles, bare, wrapped and inside arrays; payloads are harmless and never run."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np


def called(path: str, *arguments: str, protocol: int = 2) -> bytes:
    """The pickle of ``path(*arguments)``, written opcode by opcode."""
    module, _, name = path.rpartition(".")
    items = b"".join(b"X" + struct.pack("<I", len(a)) + a.encode() for a in arguments)
    head = b"\x80" + bytes([protocol]) if protocol >= 2 else b""
    if protocol >= 4:
        names = b"".join(b"\x8c" + bytes([len(t)]) + t.encode() for t in (module, name))
        return head + names + b"\x93(" + items + b"tR."
    return head + f"c{module}\n{name}\n(".encode() + items + b"tR."


EVIL = called("os.getcwd")


EVIL4 = called("os.getcwd", protocol=4)


EXTENSIONS = [
    "pkl",
    "pickle",
    "pt",
    "pth",
    "bin",
    "ckpt",
    "joblib",
    "dat",
    "data",
    "txt",
    "md",
    "json",
    "png",
    "npy",
    "model",
    "onnx",
    "safetensors",
    "h5",
]


def opcode_forms() -> Iterator[tuple[str, bytes]]:
    yield "protocol0", b"cos\ngetcwd\n(tR."
    yield "inst", b"(S'x'\nios\ngetcwd\n."
    yield "obj", b"(cos\ngetcwd\no."
    yield "newobj", b"\x80\x02cos\ngetcwd\n)\x81."
    yield "newobj_ex", b"\x80\x04\x8c\x02os\x8c\x06getcwd\x93)}\x92."
    yield "stack_global", EVIL4
    yield "memo", b"\x80\x04\x8c\x02os\x94\x8c\x06getcwd\x9400h\x00h\x01\x93)R."
    yield "memo_lines", b"\x80\x04\x8c\x02osp7\n0\x8c\x06getcwdp9\n0g7\ng9\n\x93)R."
    yield "dotted", b"\x80\x04\x8c\x0bcollections\x8c\x1fOrderedDict.__init__.__globals__\x93."
    yield "dotted_module", b"\x80\x04\x8c\x05torch\x8c\x08hub.load\x93)R."
    yield (
        "computed_name",
        b"\x80\x04\x8c\x02os\x8c\x08builtins\x8c\x03str\x93\x8c\x06getcwd\x85R\x93)R.",
    )
    yield "long_name", b"\x80\x04X" + struct.pack("<I", 600) + b"a" * 600 + b"\x8c\x06getcwd\x93)R."
    yield "extension", b"\x80\x02\x82\x01)R."
    yield "extension4", b"\x80\x02\x84\x01\x01\x00\x00)R."
    yield "build_on_global", b"\x80\x02ccollections\nOrderedDict\n}(X\x01\x00\x00\x00aK\x01ub."
    yield "setitem_on_global", b"\x80\x02ccollections\nOrderedDict\nK\x01K\x02s."
    yield "persistent", b"\x80\x02X\x03\x00\x00\x00abcQ."
    yield "persistent_line", b"(Pevil\nlcos\ngetcwd\n)R."
    yield "nested_bytes", pickle.dumps({"inner": EVIL})
    yield "nested_bytes0", pickle.dumps([b"cos\ngetcwd\n(tR."], protocol=4)
    yield "nested_latin", pickle.dumps({"inner": EVIL}, protocol=2)
    yield "nested_proto0", pickle.dumps({"inner": EVIL}, protocol=0)
    yield "nested_zlib", pickle.dumps({"inner": zlib.compress(EVIL)}, protocol=4)
    yield "second_pickle", pickle.dumps({"a": 1}) + EVIL
    yield "third_plain", pickle.dumps(1) + pickle.dumps(2) + b"cos\ngetcwd\n(tR."
    yield "hex_int", b"I0x10\n0cos\ngetcwd\n(tR."
    yield "octal_int", b"I010\n0cos\ngetcwd\n(tR."
    yield "indirect", b"\x80\x02cfunctools\npartial\ncmymod\nrun\n\x85R)R."
    yield "loader", called("torch.storage._load_from_bytes")
    yield "python2_name", b"c__builtin__\neval\n(S'1'\ntR."
    yield (
        "frame_lie",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f\x8c\x02os\x8c\x06getcwd\x93)R.",
    )
    yield "mark_pop", b"\x80\x02(0(K\x011cos\ngetcwd\n)R."
    yield "deep_tuple", b"\x80\x02)" + b"\x85" * 3_000_000 + b"."
    yield "padded", b"\x80\x02" + b"N0" * 200_000 + EVIL[2:]
    yield "padded_odd", b"\x80\x02" + b"K\x01K\x02\x860" * 30_000 + EVIL[2:]


def broken() -> Iterator[tuple[str, bytes]]:
    body = EVIL4[:-1]
    yield "no_stop", body
    yield "bad_opcode_after", body + b"\xff\xff\xff."
    yield "underflow_after", body + b"00000."
    yield "cut_string_after", body + b"X\xff\xff\xff\x7fabc"
    yield "huge_length_before", b"\x80\x04\x8e" + b"\xff" * 8 + b"cos\ngetcwd\n)R."
    yield "zeros_after", EVIL4 + b"\x00" * 4096
    yield "missing_memo_after", body + b"h\xee."
    yield "bad_protocol_after", body + b"\x80\x09."
    yield "spaces_after", EVIL4 + b" \n" * 50


def wrapped() -> Iterator[tuple[str, bytes]]:
    yield "a.gz", gzip.compress(EVIL)
    yield "a.bz2", bz2.compress(EVIL)
    yield "a.xz", lzma.compress(EVIL)
    yield "a.lzma", lzma.compress(EVIL, lzma.FORMAT_ALONE)
    yield "a.z", zlib.compress(EVIL)
    yield "best.z", zlib.compress(EVIL4, 9)
    yield "fast.joblib", zlib.compress(EVIL4, 1)
    yield "gzip_named.joblib", gzip.compress(EVIL4)
    yield "two_members.gz", gzip.compress(pickle.dumps(1)) + gzip.compress(EVIL)
    yield "cut.gz", gzip.compress(EVIL + os.urandom(9000))[:-4]
    yield "twice.gz", gzip.compress(bz2.compress(EVIL))
    yield "lz4.joblib", b"\x04\x22\x4d\x18\x64\x40\xa7" + EVIL
    yield "zfile.pkl", b"ZF" + hex(len(EVIL)).encode().ljust(19) + zlib.compress(EVIL)
    yield "bomb.gz", gzip.compress(b"\0" * (96 << 20), 9)


def joblib_tricks() -> Iterator[tuple[str, bytes]]:
    class Payload:
        def __reduce__(self) -> Any:
            return os.getcwd, ()

    buffer = io.BytesIO()
    joblib.dump([np.arange(50.0), Payload()], buffer)
    yield "after_array.joblib", buffer.getvalue()
    buffer = io.BytesIO()
    joblib.dump({"a": np.array([Payload(), 1], dtype=object), "b": 1}, buffer)
    yield "object_array.joblib", buffer.getvalue()
    buffer = io.BytesIO()
    joblib.dump([np.zeros((3, 4)), {"x": Payload()}], buffer, compress=3)
    yield "compressed.joblib", buffer.getvalue()
    # The array itself is a pickle: joblib steps over it, a plain unpickler runs it.
    buffer = io.BytesIO()
    body = b"cos\ngetcwd\n(tR.".ljust(64, b".")
    joblib.dump([np.frombuffer(body, dtype="u1")], buffer)
    data = buffer.getvalue()
    at = data.index(body)
    pad = at - len(data[:at].rstrip(b"\xff")) + 1
    unaligned = data[: at - pad].replace(
        b"numpy_array_alignment_bytes", b"numpy_array_alignment_bytez"
    )
    yield "array_is_pickle.joblib", unaligned + data[at:]


def arrays() -> Iterator[tuple[str, bytes]]:
    class Payload:
        def __reduce__(self) -> Any:
            return os.getcwd, ()

    buffer = io.BytesIO()
    np.save(buffer, np.array([Payload()], dtype=object), allow_pickle=True)
    yield "object.npy", buffer.getvalue()
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([Payload()], dtype=object))
    yield "object.npz", buffer.getvalue()
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(4))
    yield "trailing.npy", buffer.getvalue() + EVIL
    yield "lie.npy", buffer.getvalue().replace(b"(4,)", b"(9,)")
    yield "code_header.npy", buffer.getvalue().replace(b"'shape': (4,), ", b"'shape': abs(1)")
