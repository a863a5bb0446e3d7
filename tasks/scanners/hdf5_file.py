"""HDF5 and Keras ``.h5``: configurations are searched out of the raw bytes and walked.

There is no structural walk of HDF5, so such a file is never a plain pass.
"""

import json
import re

from tasks.domain.severity import Severity
from tasks.scanners.inspection import Inspection
from tasks.scanners.keras_model import walk_config
from tasks.scanners.reading import View

MAGIC = b"\x89HDF\r\n\x1a\n"
MOST_CONFIG = 32 << 20
_CONFIG = re.compile(
    rb'\{\s{0,8}"(?:class_name|module|keras_version|backend|config|registered_name)"\s{0,4}:'
)
_EXTERNAL = re.compile(
    rb"[\x00-\x08]([\w./\\-]{1,200}\.(?:h5|hdf5|keras|txt|csv|bin|dat)|/etc/[\w./-]{1,100})\x00/"
)


def looks_like_hdf5(view: View) -> bool:
    """The magic lies at 0, or behind a user block of a power of two from 512 on."""
    return any(view.read(at, 8) == MAGIC for at in (0, 512, 1024, 2048, 4096, 8192))


def inspect_hdf5(view: View, inspection: Inspection) -> str:
    """Walks every Keras configuration found and says that the rest was not assessed."""
    step, overlap, done = 16 << 20, 1 << 12, -1
    for start in range(0, view.size, step):
        inspection.budget.check_clock()
        window = view.read(start, step + overlap)
        for found in _CONFIG.finditer(window):
            at = start + found.start()
            if at > done:
                done = max(done, at + _config(view, at, inspection))
        if link := _EXTERNAL.search(window):
            text = f"may link to {link.group(1)[:100].decode('latin-1')}"
            inspection.note("hdf5.external_link", Severity.MEDIUM, text, start + link.start())
    if view.head(8) != MAGIC:
        text = "bytes lie in front of the HDF5 content"
        inspection.note("hdf5.user_block", Severity.HIGH, text)
    text = "HDF5 is not walked structurally; hand the model in as safetensors or ONNX"
    inspection.note("format.not_assessed", Severity.LOW, text)
    return "hdf5"


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
