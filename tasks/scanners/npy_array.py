"""NumPy arrays: the header is parsed by hand, never evaluated; object arrays are pickles.

Source: NumPy enhancement proposal 1, format versions 1 to 3.
"""

import ast
import math
import re

from tasks.domain.severity import Severity
from tasks.scanners.inspection import Inspection
from tasks.scanners.reading import View

MAGIC = b"\x93NUMPY"
MOST_HEADER = 1 << 16
_SIZES = re.compile(r"^[<>=|]?([biufcmMSUV?])(\d*)(\[[\w]+\])?$")


class BrokenHeader(Exception):  # noqa: N818  - becomes a finding
    """The header is not what numpy writes."""


def looks_like_npy(view: View) -> bool:
    """Answers whether the magic is there."""
    return view.head(6) == MAGIC


def inspect_npy(view: View, inspection: Inspection) -> str:
    """Checks that header and length agree, and reads object arrays as pickles."""
    try:
        start, descr, shape = read_header(view)
        size = item_bytes(descr)
    except BrokenHeader as reason:
        inspection.note("npy.malformed", Severity.MEDIUM, str(reason))
        return "npy"
    if size is None:
        text = "an object array, which is a pickle in disguise"
        inspection.note("npy.object_array", Severity.MEDIUM, text)
        inspection.inside(view.part(start), "objects", around="objects")
        return "npy"
    expected = size * math.prod(shape)
    if view.size - start != expected:
        text = f"{expected} bytes declared, {view.size - start} are there"
        inspection.note("npy.length", Severity.MEDIUM, text, start)
        if view.size - start > expected:
            inspection.inside(view.part(start + expected), "trailing bytes", around="bytes")
    return "npy"


def read_header(view: View) -> tuple[int, object, tuple[int, ...]]:
    """Returns where the data begins, the dtype description, and the shape.

    Raises:
        BrokenHeader: Anything else than a literal dict of the three known keys.
    """
    major = view.read(6, 1)
    width = 2 if major == b"\x01" else 4
    if major not in (b"\x01", b"\x02", b"\x03"):
        raise BrokenHeader(f"format version {major!r} does not exist")
    length = int.from_bytes(view.read(8, width), "little")
    start = 8 + width + length
    if length > MOST_HEADER or start > view.size:
        raise BrokenHeader(f"a header of {length} bytes is declared")
    text = view.read(8 + width, length).decode("latin-1")
    try:
        # literal_eval builds constants only; the length bound keeps it from deep recursion
        header = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise BrokenHeader("the header is not a literal") from None
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise BrokenHeader("the header has other keys than descr, fortran_order and shape")
    shape = header["shape"]
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise BrokenHeader("the shape is not a tuple of lengths")
    return start, header["descr"], shape


def item_bytes(descr: object) -> int | None:
    """Returns the size of one item, None when it holds Python objects.

    Raises:
        BrokenHeader: The description is no dtype.
    """
    if isinstance(descr, str):
        if "O" in descr:
            return None
        found = _SIZES.match(descr)
        if not found:
            raise BrokenHeader(f"{descr[:40]!r} is no dtype")
        return int(found.group(2) or 1) * (4 if found.group(1) == "U" else 1)
    if isinstance(descr, tuple) and len(descr) == 2 and isinstance(descr[1], tuple | int):
        inner = item_bytes(descr[0])
        times = math.prod(descr[1]) if isinstance(descr[1], tuple) else descr[1]
        return None if inner is None else inner * times
    if isinstance(descr, list):
        sizes = [
            item_bytes(field[1] if len(field) == 2 else (field[1], field[2]))
            for field in descr
            if isinstance(field, tuple) and len(field) in (2, 3)
        ]
        if len(sizes) != len(descr):
            raise BrokenHeader("a structured dtype has a broken field")
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None
    raise BrokenHeader("the dtype is no description")
