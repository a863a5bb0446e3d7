import json
import struct
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tasks.sandbox import frames

DTYPES = st.sampled_from(sorted(frames._DTYPES.values(), key=str))
ARRAYS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(
        lambda name: name != "__metadata__"
    ),
    DTYPES.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))),
    max_size=4,
)


def bytes_of(body: dict[str, Any], arrays: dict[str, frames.Array]) -> bytes:
    return b"".join(bytes(view) for view in frames.encode(body, arrays))


def parted(message: bytes) -> tuple[bytes, frames.Array]:
    text, tensors = frames.lengths(message[:12], most=1 << 30)
    assert len(message) == 12 + text + tensors
    return message[12 : 12 + text], np.frombuffer(message[12 + text :], np.uint8)


@settings(max_examples=60, deadline=None)
@given(ARRAYS)
def test_arrays_come_back_equal(arrays: dict[str, frames.Array]) -> None:
    _, data = parted(bytes_of({}, arrays))
    back = frames.decode_arrays(data)
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)


@settings(max_examples=30, deadline=None)
@given(ARRAYS.filter(bool))
def test_the_bytes_are_safetensors(arrays: dict[str, frames.Array]) -> None:
    _, data = parted(bytes_of({}, arrays))
    theirs = safetensors.numpy.load(data.tobytes())
    for name, array in arrays.items():
        np.testing.assert_array_equal(theirs[name], array)
    ours = frames.decode_arrays(np.frombuffer(safetensors.numpy.save(theirs), np.uint8))
    assert ours.keys() == arrays.keys()


def test_views_and_foreign_byte_order_travel() -> None:
    arrays = {"strided": np.arange(10)[::2], "big": np.arange(3, dtype=">f4")}
    back = frames.decode_arrays(parted(bytes_of({}, arrays))[1])
    np.testing.assert_array_equal(back["strided"], [0, 2, 4, 6, 8])
    np.testing.assert_array_equal(back["big"], [0, 1, 2])


@pytest.mark.parametrize("dtype", [object, "U3", complex, "datetime64[s]", np.longdouble])
def test_other_dtypes_do_not_travel(dtype: Any) -> None:
    with pytest.raises(TypeError, match="does not cross"):
        frames.encode({}, {"a": np.zeros(2, dtype)})


def test_the_reserved_name_is_refused_rather_than_lost() -> None:
    with pytest.raises(ValueError, match="__metadata__"):
        frames.encode({}, {"__metadata__": np.zeros(1)})


BAD_JSON = {
    "not a number": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "infinity in disguise": b'{"a": 1e999}',
    "half a character": b'{"a": "\\ud800"}',
    "too deep": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a huge integer": b'{"a": ' + b"9" * 100_000 + b"}",
    "a list": b"[]",
    "nothing": b"",
    "not UTF-8": b'{"a": "\xff"}',
    "two objects": b"{}{}",
}


@pytest.mark.parametrize("text", BAD_JSON.values(), ids=BAD_JSON)
def test_what_is_not_strict_json_is_refused(text: bytes) -> None:
    with pytest.raises(frames.FrameError):
        frames.decode_body(text)


def entry(start: int, end: int, shape: list[int] | None = None, dtype: str = "U8") -> object:
    return {"dtype": dtype, "shape": shape or [end - start], "data_offsets": [start, end]}


BAD_ARRAYS: dict[str, dict[str, object]] = {
    "overlap": {"a": entry(0, 8), "b": entry(4, 12), "c": entry(12, 16)},
    "gap": {"a": entry(0, 4), "b": entry(8, 16)},
    "trailing bytes": {"a": entry(0, 8)},
    "beyond the end": {"a": entry(0, 17)},
    "backwards": {"a": entry(8, 0)},
    "negative": {"a": entry(-16, 0)},
    "shape lies": {"a": entry(0, 16, [17])},
    "negative sides": {"a": entry(0, 16, [-4, -4])},
    "overflowing shape": {"a": entry(0, 16, [1 << 61, 1 << 61, 0, 16])},
    "impossible empty shape": {"a": entry(0, 16), "b": entry(16, 16, [1 << 61, 1 << 61, 0])},
    "true is not one": {"a": entry(0, 16, [True, 16])},
    "unknown dtype": {"a": entry(0, 16, dtype="BF16")},
    "wrong dtype width": {"a": entry(0, 16, [16], dtype="F64")},
    "too many dimensions": {"a": entry(0, 16, [1] * 40 + [16])},
    "no offsets": {"a": {"dtype": "U8", "shape": [16]}},
    "not an object": {"a": 3},
}


@pytest.mark.parametrize("entries", BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_arrays_that_lie_about_themselves_are_refused(entries: dict[str, object]) -> None:
    text = json.dumps(entries).encode()
    data = struct.pack("<Q", len(text)) + text + bytes(16)
    with pytest.raises(frames.FrameError):
        frames.decode_arrays(np.frombuffer(data, np.uint8))


@pytest.mark.parametrize("data", [b"1234567", struct.pack("<Q", 1 << 63), struct.pack("<Q", 9)])
def test_array_headers_that_do_not_fit_are_refused(data: bytes) -> None:
    with pytest.raises(frames.FrameError):
        frames.decode_arrays(np.frombuffer(data, np.uint8))


@pytest.mark.parametrize("header", [b"\xff" * 12, frames.HEADER.pack(10, 91)])
def test_lengths_are_capped_before_anything_is_allocated(header: bytes) -> None:
    with pytest.raises(frames.FrameError, match="announces"):
        frames.lengths(header, most=100)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_noise_never_does_more_than_refuse(noise: bytes) -> None:
    for read in (frames.decode_body, lambda b: frames.decode_arrays(np.frombuffer(b, np.uint8))):
        try:
            read(noise)
        except frames.FrameError:
            continue
