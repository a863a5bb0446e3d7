"""Data files of every kind: to arrays, or to a reason."""

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain.digest import digest_of
from tasks.domain.errors import ChildDiedError
from tasks.intake.datasets import decode
from tasks.intake.decoding import decode_examples
from tasks.intake.manifest import parse_manifest
from tasks.sandbox.protocol import Reply
from tests.simulators.sandbox import DirectSandbox, DirectSession
from tests.simulators.store import MemoryStore
from tests.tasks.intake.bundles import DIGITS, make_bundle, manifest, rules, take_in

X = DIGITS.images[:40].astype(np.float32)
Y = DIGITS.target[:40]
FRAME = pd.DataFrame(X.reshape(40, 64), columns=[f"p{n}" for n in range(64)]).assign(y=Y)


def ask(path: Path, **changed: Any) -> Reply:
    asked: dict[str, Any] = {
        "path": str(path),
        "inputs": "x",
        "labels": "y",
        "most_bytes": 1 << 20,
        "shape": [1, 8, 8],
        "classes": 10,
        "value_range": [0.0, 16.0],
    }
    return decode_examples(**(asked | changed))


def told(reply: Reply) -> dict[str, Any]:
    _, values = reply
    return values


def npz(path: Path, x: Any = X, y: Any = Y, **more: Any) -> Path:
    with path.open("wb") as stream:
        np.savez(stream, x=x, y=y, **more)
    return path


def compressed(path: Path) -> Path:
    np.savez_compressed(path, x=X, y=Y)
    return path


def lone(path: Path) -> Path:
    np.save(path, X)
    return path


def tensors(path: Path) -> Path:
    path.write_bytes(safetensors.numpy.save({"x": X, "y": Y}))
    return path


def _csv(path: Path, frame: pd.DataFrame = FRAME) -> Path:
    frame.to_csv(path, index=False)
    return path


def _parquet(path: Path) -> Path:
    FRAME.to_parquet(path)
    return path


GOOD: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "npz": ("d.npz", npz),
    "npz without its name": ("d.bin", npz),
    "npz of bytes": ("d.npz", lambda p: npz(p, X.astype(np.uint8), Y.astype(np.uint8))),
    "npz of doubles, flat": ("d.npz", lambda p: npz(p, X.reshape(40, 64).astype(np.float64))),
    "npz in Fortran order": ("d.npz", lambda p: npz(p, np.asfortranarray(X))),
    "npz big-endian": ("d.npz", lambda p: npz(p, X.astype(">f4"), Y.astype(">i8"))),
    "npz, labels as a column": ("d.npz", lambda p: npz(p, X, Y.reshape(-1, 1))),
    "compressed": ("d.npz", compressed),
    "safetensors": ("d.safetensors", tensors),
    "csv": ("d.csv", _csv),
    "csv with a byte order mark": (
        "d.csv", lambda p: (FRAME.to_csv(p, index=False, encoding="utf-8-sig"), p)[1]),
    "tsv": ("d.tsv", lambda p: (FRAME.to_csv(p, index=False, sep="\t"), p)[1]),
    "parquet": ("d.parquet", _parquet),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_every_kind_gives_the_same_arrays(tmp_path: Path, name: str) -> None:
    file, write = GOOD[name]
    reply = ask(write(tmp_path / file))

    assert told(reply) == {"problem": "", "notes": []}
    assert reply.arrays["inputs"].dtype == np.float32
    assert reply.arrays["labels"].dtype == np.int64
    np.testing.assert_array_equal(reply.arrays["inputs"], X.reshape(40, 1, 8, 8))
    np.testing.assert_array_equal(reply.arrays["labels"], Y)


def _objects(path: Path) -> Path:
    return npz(path, np.array([{"a": 1}, None], dtype=object))


def _lying_header(path: Path) -> Path:
    """Claims 2^40 rows over forty."""
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }"
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", head + bytes(160))
        archive.writestr("y.npy", head + bytes(160))
    return path


def _padded(path: Path) -> Path:
    """Holds more bytes than its header says: a place to hide something."""
    npz(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data + b"hidden")
    return path


def _bomb(path: Path) -> Path:
    with path.open("wb") as stream:
        np.savez_compressed(stream, x=np.zeros((1 << 22,), np.float32), y=Y)
    return path


def _text(data: bytes) -> Callable[[Path], Path]:
    return lambda path: (path.write_bytes(data), path)[1]


def _nan(path: Path) -> Path:
    broken = X.copy()
    broken[3, 2, 1] = np.nan
    broken[5, 2, 1] = np.inf
    return npz(path, broken)


ROWS = b"a,y\n1,0\n2,1\n"
BAD: dict[str, tuple[str, Callable[[Path], Path], dict[str, Any], str]] = {
    "empty file": ("d.npz", _text(b""), {}, "empty"),
    "text": ("d.bin", _text(b"hello"), {}, "content is not"),
    "pickle": ("d.npz", _text(b"\x80\x04N."), {}, "content is not"),
    "npy": ("d.npy", lone, {}, "one array"),
    "no such array": ("d.npz", npz, {"inputs": "images"}, "no images; it has x, y"),
    "objects": ("d.npz", _objects, {}, "object, not numbers"),
    "text labels": ("d.npz", lambda p: npz(p, X, Y.astype(str)), {}, "not numbers"),
    "complex": ("d.npz", lambda p: npz(p, X.astype(complex)), {}, "not numbers"),
    "lying header": ("d.npz", _lying_header, {}, "are allowed"),
    "padded": ("d.npz", _padded, {}, "claims"),
    "bomb": ("d.npz", _bomb, {}, "are allowed"),
    "NaN": ("d.npz", _nan, {}, "2 of 40 rows"),
    "no rows": ("d.npz", lambda p: npz(p, X[:0], Y[:0]), {}, "empty"),
    "one number": ("d.npz", lambda p: npz(p, np.float32(1)), {}, "empty"),
    "lengths differ": ("d.npz", lambda p: npz(p, X[:39]), {}, "39 inputs and 40 labels"),
    "wrong shape": ("d.npz", npz, {"shape": [3, 8, 8]}, "the model takes [3, 8, 8]"),
    "scrambling shape": ("d.npz", npz, {"shape": [4, 16]}, "the model takes [4, 16]"),
    "fractional labels": ("d.npz", lambda p: npz(p, X, Y + 0.5), {}, "fractions"),
    "NaN labels": ("d.npz", lambda p: npz(p, X, Y * np.nan), {}, "labels are NaN"),
    "negative labels": ("d.npz", lambda p: npz(p, X, Y - 1), {}, "from -1 to 8"),
    "too many classes": ("d.npz", npz, {"classes": 5}, "from 0 to 9, classes from 0 to 4"),
    "one-hot": ("d.npz", lambda p: npz(p, X, np.eye(10)[Y]), {}, "one class number a row"),
    "truncated npz": ("d.npz", lambda p: _text(npz(p).read_bytes()[:-99])(p), {}, "BadZipFile"),
    "csv of text": ("d.csv", _text(b"a,y\nred,0\nblue,1\n"), {"shape": [1]}, "not numeric"),
    "csv formulas": ("d.csv", _text(b"a,y\n=1+1,0\n"), {"shape": [1]}, "not numeric"),
    "csv without labels": ("d.csv", _text(b"a,b\n1,0\n"), {"shape": [1]}, "no y; it has a, b"),
    "csv, only labels": ("d.csv", _text(b"y\n1\n"), {"shape": [1]}, "besides the labels"),
    "csv doubled header": ("d.csv", _text(b"a,a,y\n1,2,0\n"), {"shape": [2]}, "two columns"),
    "csv ragged": ("d.csv", _text(ROWS + b"1,2,3,4\n"), {"shape": [1]}, "ParserError"),
    "csv utf-16": ("d.csv", _text(ROWS.decode().encode("utf-16")), {"shape": [1]}, "Unicode"),
    "csv, one endless line": ("d.csv", _text(b"1," * (1 << 20)), {"shape": [1]}, "first line"),
    "csv, header only": ("d.csv", _text(b"a,y\n"), {"shape": [1]}, ""),
    "csv holes": ("d.csv", _text(b"a,y\n1,0\n,1\n"), {"shape": [1]}, "1 of 2 rows"),
    "parquet junk": ("d.parquet", _text(b"PAR1" + bytes(90) + b"PAR1"), {}, "OSError"),
    "safetensors junk": ("d.safetensors", _text(b"\x10" + bytes(7) + b"{" + b"x" * 40), {}, "JSON"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_has_a_reason_and_no_arrays(tmp_path: Path, name: str) -> None:
    file, write, changed, words = BAD[name]
    reply = ask(write(tmp_path / file), **changed)
    assert reply.arrays == {}
    assert told(reply)["problem"]
    assert words in told(reply)["problem"]


NOTED: dict[str, tuple[Callable[[Path], Path], dict[str, Any], str]] = {
    "one class": (lambda p: npz(p, X, Y * 0), {}, "data.one_class"),
    "labels as fractions": (lambda p: npz(p, X, Y.astype(float)), {}, "data.float_labels"),
    "out of range": (npz, {"value_range": [0.0, 1.0]}, "data.out_of_range"),
    "channels last": (
        lambda p: npz(p, np.stack([X, X, X], axis=-1)), {"shape": [3, 8, 8]}, "data.layout"),
}  # fmt: skip


@pytest.mark.parametrize("name", NOTED)
def test_what_is_odd_but_usable_is_noted(tmp_path: Path, name: str) -> None:
    write, changed, rule = NOTED[name]
    reply = ask(write(tmp_path / "d.npz"), **changed)
    assert [note["rule"] for note in told(reply)["notes"]] == [rule]
    assert len(reply.arrays["inputs"]) == 40


def test_channels_last_pictures_keep_their_pixels(tmp_path: Path) -> None:
    last = np.arange(2 * 4 * 5 * 3, dtype=np.float32).reshape(2, 4, 5, 3)
    got = ask(npz(tmp_path / "d.npz", last, Y[:2]), shape=[3, 4, 5]).arrays["inputs"]
    np.testing.assert_array_equal(got, last.transpose(0, 3, 1, 2))


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = _csv(tmp_path / "d.csv", pd.DataFrame({"a": [1, 2], "b": [3, 4], "y": [0, 1]}))
    reply = ask(path, inputs="b", shape=[1], value_range=None)
    np.testing.assert_array_equal(reply.arrays["inputs"], [[3], [4]])
    both = ask(path, inputs="b,a", shape=[2], value_range=None)
    np.testing.assert_array_equal(both.arrays["inputs"], [[3, 1], [4, 2]])
    assert "no c" in told(ask(path, inputs="a,c", shape=[2]))["problem"]


def test_regression_keeps_fractions(tmp_path: Path) -> None:
    reply = ask(npz(tmp_path / "d.npz", X, Y + 0.25), task="regression", classes=None)
    assert reply.arrays["labels"].dtype == np.float32
    np.testing.assert_array_equal(reply.arrays["labels"], Y + 0.25)


@given(at=st.integers(0, 5000), byte=st.integers(0, 255), kind=st.sampled_from(["npz", "parquet"]))
@settings(max_examples=80, deadline=None)
def test_damaged_files_give_arrays_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    path = npz(folder / "d.npz") if kind == "npz" else _parquet(folder / "d.parquet")
    data = bytearray(path.read_bytes())
    data[at % len(data)] = byte
    path.write_bytes(data)
    reply = ask(path)
    assert bool(reply.arrays) != bool(told(reply)["problem"])


def test_data_that_cannot_be_decoded_is_an_observation_not_a_crash(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "b")
    (folder / "data" / "eval.npz").write_bytes(b"junk")
    subject = take_in(folder, tmp_path / "w")
    data = subject.dataset("evaluation")
    assert data is not None
    assert data.digest is None
    assert "convert" in data.problem
    assert rules(subject)["data.undecodable"] == "high"


def test_training_on_the_test_data_is_noticed(tmp_path: Path) -> None:
    value = manifest()
    value["data"]["training"] = {"path": "data/eval.npz"}
    subject = take_in(make_bundle(tmp_path / "b", value), tmp_path / "w")
    assert rules(subject)["data.same_data"] == "high"


class Lying(DirectSession):
    """A child that a hostile file has taken over."""

    reply = Reply({}, {})

    def call(self, procedure: str, arrays: Any = None, **values: Any) -> Reply:  # noqa: ARG002
        return self.reply


class Dying(DirectSession):
    def call(self, procedure: str, arrays: Any = None, **values: Any) -> Reply:  # noqa: ARG002
        raise ChildDiedError("killed by signal 9")


LIES: dict[str, Reply] = {
    "nothing": Reply({}, {}),
    "other dtype": Reply({"inputs": X.astype(np.float64), "labels": Y}, {}),
    "lengths differ": Reply({"inputs": X, "labels": Y[:3]}, {}),
    "NaN": Reply({"inputs": X * np.float32("nan"), "labels": Y}, {}),
    "labels beyond": Reply({"inputs": X, "labels": Y + 10}, {}),
    "no rows": Reply({"inputs": X[:0], "labels": Y[:0]}, {}),
}


@pytest.mark.parametrize("name", [*LIES, "dies"])
def test_a_child_is_not_believed(tmp_path: Path, name: str) -> None:
    class Sandbox(DirectSandbox):
        def session(self, *order: Any, **more: Any) -> DirectSession:  # noqa: ARG002
            if name == "dies":
                return Dying()
            session = Lying()
            session.reply = LIES[name]
            return session

    import yaml  # noqa: PLC0415 - one test

    from tasks.domain.bundle import FileEntry  # noqa: PLC0415

    store = MemoryStore()
    store.put(b"data")
    entry = FileEntry(path="data/eval.npz", digest=digest_of(b"data"), size_bytes=4)
    spec = parse_manifest(yaml.safe_dump(manifest()).encode())
    (item,) = decode(spec, (entry,), store, Sandbox(), tmp_path)
    assert item.dataset.digest is None
    assert item.dataset.problem
    assert item.observations[0].severity.value == "high"


def test_conversations_stay_text(tmp_path: Path) -> None:
    value = manifest()
    value["model"] = {"name": "m", "version": "1", "task": "chat", "artifact": "model/digits.bin"}
    folder = make_bundle(tmp_path / "b", value)
    subject = take_in(folder, tmp_path / "w")
    data = subject.dataset("evaluation")
    assert data is not None
    assert data.digest is None
    assert "data.undecodable" not in rules(subject)
