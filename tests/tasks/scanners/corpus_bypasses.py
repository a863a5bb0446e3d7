"""Files that once got past this scanner, or were written to; each stays as a case for ever."""

import base64
import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import joblib
import lz4.frame
import numpy as np
import zstandard

from tests.tasks.scanners.corpus_containers import archived, tarred, torch_like, with_comment
from tests.tasks.scanners.corpus_formats import onnx_model, protobuf
from tests.tasks.scanners.corpus_pickles import EVIL, EVIL4, called

SCIPY = b"\x80\x04\x8c\x1escipy.stats._continuous_distns\x8c\x08norm_gen\x93"
TEMPLATE = b"(\x8c\x13_parse_arg_template\x8c\x0aprint('a')u"


def gadgets() -> Iterator[tuple[str, bytes]]:
    """Harmless looking classes that run their state, read files when called, or hand on a name."""
    yield "executed_state", SCIPY + b")\x81}" + TEMPLATE + b"b."
    yield "executed_empty_state", SCIPY + b")\x81}b."
    yield (
        "executed_by_rebuilder",
        b"\x80\x04\x8c\x07copyreg\x8c\x0e_reconstructor\x93"
        + SCIPY[2:]
        + b"\x8c\x08builtins\x8c\x06object\x93N\x87R}"
        + TEMPLATE
        + b"b.",
    )
    many = b"".join(b"\x8c\x03" + f"k{index:02}".encode() + b"N" for index in range(70))
    yield "executed_behind_many_keys", SCIPY + b")\x81}(" + many + b"u" + TEMPLATE + b"b."
    yield "booster_reads", called("xgboost.core.Booster", "{}", "", "/etc/hostname")
    yield "lightgbm_reads", called("lightgbm.basic.Booster", "a", "b", "/etc/hostname")
    yield "arguments_called", called("transformers.training_args.TrainingArguments", "out")
    getter = b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93"
    ordered = b"\x8c\x0bcollections\x8c\x0bOrderedDict\x93"
    yield "getter", getter + b"."
    yield "getter_walks", getter + ordered + b"\x8c\x08__init__\x86R."
    yield "getter_as_value", getter + b"\x8c\x09functools\x8c\x07partial\x93h\x00\x85R."
    yield (
        "getter_in_partial",
        b"\x80\x04\x8c\x09functools\x8c\x07partial\x93" + getter[2:] + ordered + b"\x86R.",
    )
    yield "getter_in_list", b"\x80\x04]" + getter[2:] + b"a."
    yield "getter_in_dict", b"\x80\x04}N" + getter[2:] + b"s."
    yield "getter_in_state", b"\x80\x04" + ordered + b")\x81" + getter[2:] + b"b."
    loader = b"ctorch.storage\n_load_from_bytes\n"
    yield "loader_as_default", b"\x80\x02ccollections\ndefaultdict\n" + loader + b"\x85R."
    inner = b"C" + bytes([len(EVIL)]) + EVIL
    yield "loader_of_pickle", b"\x80\x03" + loader + inner + b"\x85R."
    yield (
        "loader_of_computed",
        b"\x80\x02" + loader + b"c_codecs\nencode\nX\1\0\0\0ax\x86R\x85R.".replace(b"ax", b"a"),
    )
    rot = (
        b"\x80\x04\x8c\x07_codecs\x8c\x06encode\x93\x8c\x02bf\x8c\x05rot13\x86R\x8c\x06getcwd\x93."
    )
    yield "computed_module", rot
    yield "rebuild_calls", b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(cos\ngetcwd\nNtR."
    fill = b"cbuiltins\nbytearray\n\x8a\x06" + (1 << 40).to_bytes(6, "little") + b"\x85R."
    yield "fills_memory", b"\x80\x02" + fill
    counted = b"cbuiltins\nlist\ncbuiltins\nrange\nJ\xff\xff\xff\x7f\x85R\x85R."
    yield "fills_by_range", b"\x80\x02" + counted
    yield "shared_tuples", b"\x80\x02)" + b"2\x86" * 60 + b"."
    yield "import_of_module_attribute", called("collections.abc.sys.modules")


def streams() -> Iterator[tuple[str, bytes]]:
    """Several pickles, of which the first looks like nothing."""
    yield "second_after_number.pkl", b"I1\n.cos\ngetcwd\n(tR."
    yield "second_after_number.txt", b"I1\n.cos\ngetcwd\n(tR."
    yield "second_after_nothing.bin", b"N." + EVIL
    yield "many_small.pkl", b"N." * 40 + EVIL4
    yield "text_named_md.md", b"cos\ngetcwd\n(tR."
    yield (
        "memo_overwritten.pkl",
        (
            b"\x80\x04\x8c\x04matha\x940\x8c\x02osq\x000h\x00\x8c\x06getcwd\x93)R.".replace(
                b"matha", b"math"
            )
        ),
    )
    yield "put_then_memoize.pkl", b"\x80\x04\x8c\x02osq\x05\x94\x8c\x06getcwd\x94h\x01h\x02\x93)R."
    run = b"\x8c\x01a\x94K\x01" * 3_000
    yield "name_in_a_run.pkl", b"\x80\x04(" + run + b"\x8c\x02os\x8c\x06getcwd\x93)R."
    yield "memo_in_a_run.pkl", b"\x80\x04\x8c\x02os\x94(" + run + b"h\x00\x8c\x06getcwd\x93)R."


def configurations() -> Iterator[tuple[str, bytes]]:
    """JSON and YAML that make a loader import, fetch or render."""
    values: dict[str, Any] = {
        "adapter_config.json": {"auto_mapping": {"parent_library": "os", "base_model_class": "x"}},
        "modules.json": [{"idx": 0, "name": "0", "path": "", "type": "os.system"}],
        "model.safetensors.index.json": {"weight_map": {"a": "../../../etc/hostname"}},
        "pytorch_model.bin.index.json": {"weight_map": {"a": "/abs/x.bin"}},
        "address.index.json": {"weight_map": {"a": "https://a.example/x.bin"}},
        "model_index.json": {"_class_name": "Pipe", "unet": ["my_module", "Evil"]},
        "custom.json": {"custom_pipeline": "someone/else"},
        "state.json": {"state": base64.b64encode(EVIL4).decode()},
        "state2.json": {"state": base64.b64encode(EVIL).decode()},
    }
    for name, value in values.items():
        yield name, json.dumps(value).encode()
    for index, template in enumerate(TEMPLATES):
        name = "tokenizer_config.json"
        yield f"{index:02}/{name}", json.dumps({"chat_template": template}).encode()
    several = [{"name": "tool", "template": TEMPLATES[0]}]
    yield "several/tokenizer_config.json", json.dumps({"chat_template": several}).encode()
    yield "chat_template.jinja", TEMPLATES[0].encode()
    yield "cut.json", b'{"a": {"b": '
    yield "MLmodel", b"flavors:\n  python_function:\n    loader_module: evil_module\n    code: c\n"
    yield "keras.yaml", b"layers:\n- class_name: Lambda\n  config: {}\n"
    links = b"".join(
        f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n".encode()
        for a, b in zip("abcde", "bcdef", strict=True)
    )
    yield "bomb.yaml", b"a: &a [x]\n" + links
    yield "Makefile", b"all:\n\techo hi\n"
    yield "Dockerfile", b"FROM scratch\nRUN echo hi\n"
    yield "easy-install.pth", b"import os; os.getcwd()\n"
    yield "setup.py", b"from setuptools import setup\nsetup()\n"
    yield "generation_config.json", b'{"custom_generate": "someone/else"}'
    yield "payload", b"import os\nos.getcwd()\n"
    yield "page.hta", b"<html>x</html>\n"
    yield "old.pyc", b"\x03\xf3\r\n" + bytes(60)
    yield "setup.cfg", b"[metadata]\nname = x\n"


TEMPLATES = (
    "{{ ''['__cla'+'ss__'] }}",
    "{{ (''|attr('_'~'_class_'~'_')) }}",
    "{% set u='_'*2 %}{{ ''[u~'class'~u] }}",
    "{% include '/etc/hostname' %}",
    "{% import 'x' as y %}",
    "{{ ''[dict(__cla=1,ss__=2)|join] }}",
    "{% for i in range(10**9) %}a{% endfor %}",
    "{{ messages|map(attribute='__class__')|list }}",
    "{{ messages|map('attr', '__class__')|list }}",
    "{% set k = '__cla' ~ 'ss__' %}{{ messages[k] }}",
    "{{ messages['\\x5f\\x5fclass\\x5f\\x5f'] }}",
    "{{ '%c%cclass%c%c' % (95,95,95,95) }}",
    "{{ lipsum.__globals__ }}",
    "{{ cycler.__init__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ 9**9**9 }}",
    "{{ messages.__class__",
)


def torch_archives() -> Iterator[tuple[str, bytes]]:
    """What only a torch loader reads."""

    def script(code: bytes, **more: bytes) -> bytes:
        return archived({"m/code/__torch__.py": code, "m/data.pkl": b"\x80\x02}.", **more})

    head = b"def forward(self, x: Tensor) -> Tensor:\n  return "
    yield "spaced.pt", script(head + b"torch . from_file (x)\n")
    yield "operator.pt", script(head + b"ops.aten.from_file(x)\n")
    yield "commented.pt", script(head + b"(torch.# a\n from_file(x))\n")
    yield "foreign_class.pt", script(head + b"__torch__.torch.classes.evil.Thing(x)\n")
    yield "continued.pt", script(head + b"torch.\\\n  from_file(x)\n")
    operators = (3, ("f", (("operators", (("aten::from_file", "", 2),)),)))
    for protocol in (2, 4):
        code = {"m/bytecode.pkl": pickle.dumps(operators, protocol=protocol)}
        yield f"mobile{protocol}.ptl", script(b"", **code)
    for index, target in enumerate(
        (
            "torch.serialization.os.system",
            "torch.hub.load",
            "torch.ops.aten.from_file.default",
            "torch.ops.evil.run.default",
            "_operator.methodcaller",
        )
    ):
        graph = {"graph_module": {"graph": {"nodes": [{"target": target, "inputs": []}]}}}
        members = {"m/archive_format": b"pt2", "m/models/model.json": json.dumps(graph).encode()}
        yield f"target{index}.pt2", archived(members)
    yield (
        "old_pickle_storage.pt",
        archived(torch_like(**{"m/data/1": b"cos\ngetcwd\n(tR.".ljust(64)})),
    )
    yield "gzip_storage.pt", archived(torch_like(**{"m/data/1": gzip.compress(EVIL)}))
    yield "legacy.tar.pt", tarred("pickle", EVIL)


def containers() -> Iterator[tuple[str, bytes]]:
    """Bytes that belong to no member, headers that readers take differently, further codecs."""
    plain = archived({"a.txt": b"hello\n"})
    yield "comment.zip", with_comment(plain, EVIL)
    yield "comment_old.pt", with_comment(archived(torch_like()), b"cos\ngetcwd\n(tR.")
    yield "binary_comment.zip", with_comment(plain, bytes(range(32)) * 4)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        member = zipfile.ZipInfo("m/data.pkl")
        member.extra = struct.pack("<HH", 0xBEEF, len(EVIL)) + EVIL
        archive.writestr(member, b"\x80\x02}.")
        member = zipfile.ZipInfo("m/version")
        member.comment = EVIL4
        archive.writestr(member, b"3\n")
    yield "extra_field.pt", buffer.getvalue()
    yield "empty_name.tar", tarred("", EVIL)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("a.txt")
        info.size, info.pax_headers = 6, {"size": "512"}
        tar.addfile(info, io.BytesIO(b"hello\n"))
    yield "replaced_size.tar", buffer.getvalue()
    yield from packed()


def packed() -> Iterator[tuple[str, bytes]]:
    """Names that are one to some readers, and codecs that joblib and others unwrap."""
    for label, name in (("dot", "m/./data.pkl"), ("wide", "m/\uff44ata.pkl")):
        yield f"{label}_twin.pt", archived({**torch_like(), name: b"\x80\x02]."})
    folder = bytearray(archived({"m/data.pkl/": b"", **torch_like()}))
    at = folder.find(b"PK\x01\x02")
    folder[at + 20 : at + 24] = folder[18:22] = b"\x05\0\0\0"
    yield "folder_with_bytes.pt", bytes(folder)
    sparse = bytearray(tarred("a.txt", b"hello\n"))
    sparse[156:157] = b"S"
    sparse[148:156] = b" " * 8
    sparse[148:156] = f"{sum(sparse[:512]):06o}\0 ".encode()
    yield "sparse.tar", bytes(sparse)
    yield "a.lz4", lz4.frame.compress(EVIL4)
    first = lz4.frame.compress(pickle.dumps(1))
    yield "two_frames.lz4", first + lz4.frame.compress(EVIL4)
    yield "a.zst", zstandard.ZstdCompressor().compress(EVIL4)
    yield "cut.zst", zstandard.ZstdCompressor().compress(EVIL4)[:-2]
    yield "cut.lz4", lz4.frame.compress(EVIL4)[:-6]
    yield "bomb.zst", zstandard.ZstdCompressor().compress(bytes(96 << 20))
    yield "model.7z", sevenzip(EVIL)
    yield "cut.7z", sevenzip(EVIL)[:-3]
    yield "slip.7z", sevenzip(b"text\n", name="../../evil")
    yield "lying.7z", sevenzip(EVIL, declared=1 << 40)
    yield "zip_in.7z", sevenzip(archived({"a.pkl": EVIL}))
    yield "sevenzip_in.zip", archived({"a.7z": sevenzip(EVIL)})
    yield "object_npz_in.zip", archived({"a.npz": _object_npz()})
    for method in ("zlib", "gzip", "bz2", "lzma", "xz"):
        buffer = io.BytesIO()
        joblib.dump([np.arange(9.0), _Payload()], buffer, compress=(method, 3))
        yield f"{method}.joblib", buffer.getvalue()
    buffer = io.BytesIO()
    joblib.dump([np.arange(9.0), _Payload()], buffer)
    yield "lz4.joblib", lz4.frame.compress(buffer.getvalue())


class _Payload:
    def __reduce__(self) -> Any:
        return os.getcwd, ()


def _object_npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([_Payload()], dtype=object))
    return buffer.getvalue()


def sevenzip(
    data: bytes,
    *,
    name: str = "model.pkl",
    declared: int | None = None,
    method: bytes = b"\0",
) -> bytes:
    """A 7z archive of one stored file; numbers up to 2**63 in the nine byte form."""

    def number(value: int) -> bytes:
        return bytes([value]) if value < 0x80 else b"\xff" + struct.pack("<Q", value)

    size = len(data) if declared is None else declared
    names = b"\0" + name.encode("utf-16-le") + b"\0\0"
    streams = b"\x06\x00\x01\x09" + number(size) + b"\x00"
    streams += (
        b"\x07\x0b\x01\x00\x01"
        + bytes([len(method)])
        + method
        + b"\x0c"
        + number(size)
        + b"\x00\x00"
    )
    files = b"\x05\x01\x11" + number(len(names)) + names + b"\x00"
    header = b"\x01\x04" + streams + files + b"\x00"
    start = struct.pack("<QQL", len(data), len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<L", zlib.crc32(start)) + start + data + header


def formats() -> Iterator[tuple[str, bytes]]:
    """Other formats, other places in them."""
    text = protobuf((14, protobuf((1, b"k"), (2, b"<script>1</script>"))))
    evil = protobuf((1, b"x"), (2, b"y"), (4, b"Evil"), (7, b"evil.domain"))
    yield "metadata_first.onnx", text + onnx_model()
    yield "unknown_field.onnx", onnx_model(node=evil) + protobuf((100, EVIL))
    yield "graph_first.onnx", protobuf((7, protobuf((1, evil), (2, b"g"))), (1, 8))
    relu = protobuf((1, b"x"), (2, b"y"), (4, b"Relu"))
    function = protobuf((25, protobuf((1, b"Relu"), (10, b""), (7, relu))))
    yield "replaced_operator.onnx", onnx_model(more=function)
    yield "doc_string.onnx", onnx_model(more=protobuf((6, b"<script>1</script>")))
    gguf = b"GGUF" + struct.pack("<IQQ", 3, 0, 0)
    yield "trailing.gguf", gguf + EVIL
    lookup = {"class_name": "StringLookup", "config": {"vocabulary": "/etc/hostname"}}
    layers = {"layers": [{"module": "keras.layers", "registered_name": None, **lookup}]}
    model = {"module": "keras", "class_name": "Sequential", "config": layers}
    yield "vocabulary.json", json.dumps(model).encode()
    loss = {"compile_config": {"loss": {"module": "evil", "class_name": "L"}}}
    yield "loss.json", json.dumps({**model, "config": {}, **loss}).encode()
    node = protobuf((1, b"r"), (2, b"WriteFile"))
    graph = protobuf((1, 1), (2, protobuf((2, protobuf((1, node))))))
    yield "saved_model.pb", graph
    yield "cut/saved_model.pb", graph[:-2]
    inner = protobuf((2, protobuf((1, protobuf((3, protobuf((1, b"r"), (2, b"PyFunc"))))))))
    yield "function/saved_model.pb", protobuf((1, 1), (2, protobuf((2, inner))))
    yield "frozen.pb", protobuf((1, protobuf((1, b"a"), (2, b"Const")))) + protobuf((1, node))
    yield "trailing.spiece.model", _pieces() + EVIL
    yield "cut.spiece.model", _pieces()[:-2]


def _pieces() -> bytes:
    piece = protobuf((1, "▁a".encode())) + b"\x15" + struct.pack("<f", -1.5)
    return protobuf((1, piece)) * 20
