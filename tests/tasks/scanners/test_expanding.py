"""Compressed streams: whatever is wrong with one, the scan ends, and with a finding."""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tasks.scanners.fuzz_parsers import read_once

CONTENT = bytes(range(256)) * 20


def zipped(method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("model/data.pkl", CONTENT)
    return buffer.getvalue()


PACKED: dict[str, Callable[[], bytes]] = {
    "zip-deflate": lambda: zipped(zipfile.ZIP_DEFLATED),
    "zip-bz2": lambda: zipped(zipfile.ZIP_BZIP2),
    "zip-lzma": lambda: zipped(zipfile.ZIP_LZMA),
    "gzip": lambda: gzip.compress(CONTENT),
    "bz2": lambda: bz2.compress(CONTENT),
    "xz": lambda: lzma.compress(CONTENT),
    "lzma-alone": lambda: lzma.compress(CONTENT, lzma.FORMAT_ALONE),
    "zlib": lambda: zlib.compress(CONTENT),
}


@pytest.mark.parametrize("packed", PACKED.values(), ids=PACKED)
@given(position=st.floats(0.15, 0.85), flipped=st.integers(1, 255), kept=st.floats(0.3, 1))
def test_a_damaged_stream_is_read_to_the_end(
    packed: Callable[[], bytes], position: float, flipped: int, kept: float
) -> None:
    data = bytearray(packed())
    data[int(position * len(data))] ^= flipped
    read_once("zip", bytes(data[: int(kept * len(data))]))
    read_once("zip", bytes(data))
