"""Requirement files: where packages would come from, and names a letter away from known ones."""

import re

from tasks.domain.severity import Severity
from tasks.scanners.inspection import Inspection

_KNOWN = frozenset(
    [
        "numpy",
        "scipy",
        "pandas",
        "torch",
        "torchvision",
        "torchaudio",
        "tensorflow",
        "keras",
        "scikit-learn",
        "transformers",
        "huggingface-hub",
        "safetensors",
        "onnx",
        "onnxruntime",
        "joblib",
        "skops",
        "xgboost",
        "lightgbm",
        "catboost",
        "requests",
        "urllib3",
        "pillow",
        "matplotlib",
        "seaborn",
        "jupyter",
        "flask",
        "fastapi",
        "django",
        "pydantic",
        "pyyaml",
        "tokenizers",
        "datasets",
        "accelerate",
        "diffusers",
        "opencv-python",
        "sentencepiece",
        "protobuf",
        "tqdm",
        "mlflow",
        "ray",
        "dask",
    ]
)
_TWINS = frozenset(
    [
        "pytorch",
        "tensor-flow",
        "sklearn",
        "sk-learn",
        "nunpy",
        "opencv",
        "cv2",
        "huggingface",
        "beautifulsoup",
        "yaml",
        "pil",
    ]
)
_SOURCE = re.compile(
    r"^\s*(?:-i|--index-url|--extra-index-url|-f|--find-links|--trusted-host)\b[=\s]", re.MULTILINE
)
_DIRECT = re.compile(r"(?:git|hg|svn|bzr)\+|https?://|file:|^\s*(?:-e|--editable)\b", re.IGNORECASE)
_NAME = re.compile(r"^\s*([A-Za-z0-9][\w.-]*)")


def inspect_requirements(text: str, inspection: Inspection) -> None:
    """Notes foreign sources and look-alike names; nothing is resolved."""
    for number, line in enumerate(text.splitlines()[:20_000], start=1):
        bare = line.split(" #")[0].strip().removeprefix("- ").strip("'\" ")  # conda lists in YAML
        if not bare or bare.startswith("#"):
            continue
        if _SOURCE.match(bare):
            inspection.note("requirements.foreign_index", Severity.MEDIUM, bare[:100], number)
        elif _DIRECT.search(bare):
            inspection.note("requirements.direct_source", Severity.MEDIUM, bare[:100], number)
        elif found := _NAME.match(bare):
            _check_name(found.group(1), number, inspection)


def _check_name(name: str, number: int, inspection: Inspection) -> None:
    plain = re.sub(r"[-_.]+", "-", name).lower()
    if plain in _KNOWN:
        return
    twin = next(
        (known for known in sorted(_KNOWN) if len(known) > 4 and _one_apart(plain, known)), None
    )
    if plain in _TWINS or twin:
        text = f"{name} resembles {twin or 'a well-known package'} and is another one"
        inspection.note("requirements.look_alike", Severity.MEDIUM, text, number)


def _one_apart(one: str, other: str) -> bool:
    """Answers whether one insertion, deletion, replacement or swap turns one into the other."""
    if abs(len(one) - len(other)) > 1:
        return False
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    if at is None:
        return len(one) != len(other)
    if len(one) == len(other):
        return one[at + 1 :] == other[at + 1 :] or (
            one[at : at + 2] == other[at : at + 2][::-1] and one[at + 2 :] == other[at + 2 :]
        )
    longer, shorter = (one, other) if len(one) > len(other) else (other, one)
    return longer[at + 1 :] == shorter[at:]
