"""What a file's name promises, compared with what its bytes are."""

import re

from tasks.domain.severity import Severity
from tasks.scanners.inspection import Inspection

TEXTS = frozenset(
    {"text", "json", "xml", "md", "csv", "tsv", "yaml", "yml", "toml", "jsonl", "requirements"}
)
_PICKLE = frozenset({"pickle", "joblib"})
_TORCH = frozenset({"torch", "torchscript", "torch_export"})
PROMISES: dict[str, frozenset[str]] = {
    "safetensors": frozenset({"safetensors"}),
    "onnx": frozenset({"onnx"}),
    "npy": frozenset({"npy"}),
    "npz": frozenset({"npz"}),
    "gguf": frozenset({"gguf"}),
    "h5": frozenset({"hdf5"}),
    "hdf5": frozenset({"hdf5"}),
    "keras": frozenset({"keras"}),
    "skops": frozenset({"skops"}),
    "pkl": _PICKLE,
    "pickle": _PICKLE,
    "joblib": _PICKLE,
    "pt": _PICKLE | _TORCH,
    "pth": _PICKLE | _TORCH,
    "ckpt": _PICKLE | _TORCH,
    "pt2": _TORCH,
    "parquet": frozenset({"parquet"}),
    "png": frozenset({"png"}),
    "jpg": frozenset({"jpeg"}),
    "jpeg": frozenset({"jpeg"}),
    "gif": frozenset({"gif"}),
    "pdf": frozenset({"pdf"}),
    "pte": frozenset({"executorch"}),
    "tflite": frozenset({"tflite"}),
    "7z": frozenset({"7z"}),
    "zip": frozenset({"zip", "npz", "skops", "keras"}) | _TORCH,
    "tar": frozenset({"tar"}),
    **dict.fromkeys(("json", "md", "txt", "csv", "tsv", "yaml", "yml", "toml", "jsonl"), TEXTS),
}  # fmt: skip
_SUFFIX = re.compile(r"\.([a-z0-9]{1,12})$", re.IGNORECASE)


def check_suffix(form: str, inspection: Inspection) -> None:
    """Notes a file that is another thing than its name says; unknown suffixes promise nothing."""
    found = _SUFFIX.search(inspection.name)
    promised = PROMISES.get(found.group(1).lower()) if found else None
    actual = form.partition("+")[0]
    if promised is None or actual in promised or actual in ("unknown", "empty"):
        return
    text = f"the name says {found.group(1) if found else ''}, the bytes are {form}"
    inspection.note("format.other_than_named", Severity.MEDIUM, text)
