"""HDF5 and Keras ``.h5``: the object tree is walked, every configuration in it judged.

Besides the walk, JSON configurations are searched out of the raw bytes, so that one in a place the
walk does not read (a heap, a deleted object that another reader may still reach) is judged too.
"""

import json
import re

from tasks.domain.severity import Severity
from tasks.scanners.hdf5_walk import MAGIC, BrokenHdf5, Fact, Walk
from tasks.scanners.inspection import Inspection
from tasks.scanners.keras_model import walk_config
from tasks.scanners.reading import View

MOST_CONFIG = 32 << 20
STEP_BYTES, OVERLAP_BYTES = 16 << 20, 1 << 12
_CONFIG = re.compile(
    rb'\{\s{0,8}"(?:class_name|module|keras_version|backend|config|registered_name|name|trainable|'
    rb'layers|function|function_type|__lambda__)"\s{0,4}:'
)
_KNOWN_FILTERS = frozenset({1, 2, 3, 4, 5, 6})
"""Deflate, shuffle, Fletcher32, szip, nbit, scale-offset: all part of the library itself."""
_REASONS = {
    "soft": ("hdf5.soft_link", Severity.LOW, "is a soft link to"),
    "outside": ("hdf5.external_link", Severity.HIGH, "links into another file:"),
    "storage": ("hdf5.external_storage", Severity.HIGH, "keeps its numbers in another file"),
    "virtual": ("hdf5.external_storage", Severity.HIGH, "is put together from other data sets"),
}


def looks_like_hdf5(view: View) -> bool:
    """The magic lies at 0, or behind a user block of a power of two from 512 on."""
    return any(view.read(at, 8) == MAGIC for at in (0, *(512 << n for n in range(12))))


def inspect_hdf5(view: View, inspection: Inspection) -> str:
    """Walks the tree, then searches the raw bytes for configurations."""
    if view.head(8) != MAGIC:
        text = "bytes lie in front of the HDF5 content"
        inspection.note("hdf5.user_block", Severity.HIGH, text)
    walk = Walk(view, inspection.budget)
    try:
        for fact in walk.facts():
            _judge(fact, inspection)
        _check_end(view, walk, inspection)
    except BrokenHdf5 as reason:
        inspection.note("hdf5.malformed", Severity.MEDIUM, str(reason))
    _search(view, inspection)
    return "hdf5"


def _judge(fact: Fact, inspection: Inspection) -> None:
    if fact.kind == "attribute":
        _attribute(fact, inspection)
    elif fact.kind == "filter":
        _filters(fact, inspection)
    elif fact.kind == "packed":
        text = (
            f"{fact.name or '/'} keeps its links or attributes in a packed heap, which is not read"
        )
        inspection.note("format.not_assessed", Severity.MEDIUM, text, fact.at)
    elif fact.kind == "dense":
        return
    else:
        rule, severity, what = _REASONS[fact.kind]
        shown = fact.value.replace(b"\0", b" ").decode("utf-8", "replace").strip()
        target = f" {shown[:100]}" if fact.kind in ("soft", "outside") else ""
        inspection.note(rule, severity, f"{fact.name or '/'} {what}{target}", fact.at)


def _attribute(fact: Fact, inspection: Inspection) -> None:
    """Text that is a JSON object is judged as a Keras configuration; anything may be a pickle."""
    value = fact.value.rstrip(b"\0 \n")
    if fact.name.endswith("@PSEUDOATOM") and value.startswith(b"object"):
        text = f"{fact.name.rpartition('@')[0]} keeps objects, which PyTables unpickles"
        inspection.note("hdf5.object_array", Severity.MEDIUM, text, fact.at)
    if value.lstrip(b"\0 \n")[:1] == b"{":
        try:
            config = json.loads(value.decode("utf-8"))
        except (ValueError, RecursionError):
            text = f"{fact.name} looks like a configuration and cannot be read"
            inspection.note("keras.malformed", Severity.MEDIUM, text, fact.at)
            return
        walk_config(config, inspection, fact.name)
    elif len(value) > 8:
        inspection.inside(View.of_bytes(value), fact.name[-100:], around="bytes")


def _filters(fact: Fact, inspection: Inspection) -> None:
    """Filter pipelines (section IV.A.2.l): a filter of a stranger loads a library of that name."""
    body = fact.value
    version, count = body[0] if body else 0, body[1] if len(body) > 1 else 0
    at = 8 if version == 1 else 2
    for _ in range(min(count, 32)):
        head = body[at : at + 8]
        if len(head) < 6:
            return
        kind = int.from_bytes(head[:2], "little")
        named = version == 1 or kind >= 256
        name = int.from_bytes(head[2:4], "little") if named else 0
        values_at = 6 if named else 4
        values = int.from_bytes(head[values_at : values_at + 2], "little")
        if kind not in _KNOWN_FILTERS:
            text = f"{fact.name} is packed by filter {kind}, which a reader loads as a library"
            inspection.note("hdf5.foreign_filter", Severity.MEDIUM, text, fact.at)
        at += values_at + 2 + (name + 7 & ~7 if version == 1 else name) + 4 * values
        at += 4 if version == 1 and values % 2 else 0


def _search(view: View, inspection: Inspection) -> None:
    done = -1
    for start in range(0, view.size, STEP_BYTES):
        inspection.budget.check_clock()
        window = view.read(start, STEP_BYTES + OVERLAP_BYTES)
        for found in _CONFIG.finditer(window):
            at = start + found.start()
            if at > done:
                done = max(done, at + _config(view, at, inspection))


def _config(view: View, at: int, inspection: Inspection) -> int:
    """Walks one JSON text in the raw bytes; returns its length, 0 when it is none."""
    for size in (1 << 16, 1 << 20, MOST_CONFIG):
        text = view.read(at, size).split(b"\x00")[0].decode("utf-8", "replace")
        try:
            value, end = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError):
            continue
        walk_config(value, inspection, f"{at}")
        return len(text[:end].encode())
    if b"Lambda" in view.read(at, MOST_CONFIG):
        inspection.note("keras.code", Severity.HIGH, "a broken configuration names Lambda", at)
    return 0


def _check_end(view: View, walk: Walk, inspection: Inspection) -> None:
    end = walk.base + walk.end if walk.base else walk.end
    rest = view.part(end)
    if end < view.size and rest.read(0, 1 << 16).strip(b"\0"):
        text = f"{view.size - end} bytes follow the HDF5 content"
        inspection.note("file.trailing_bytes", Severity.MEDIUM, text, end)
        inspection.inside(rest, "trailing bytes", around="bytes")
