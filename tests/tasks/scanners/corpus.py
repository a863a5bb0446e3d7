"""All hostile files, made at test time with harmless payloads, and never opened.

Every payload would at most ask for the working directory. ``hostile()`` yields (name, bytes); the
name carries the kind before its first slash.
"""

from collections.abc import Iterator
from pathlib import Path

from tests.tasks.scanners import (
    corpus_bypasses,
    corpus_containers,
    corpus_formats,
    corpus_pickles,
    corpus_rules,
)
from tests.tasks.scanners.corpus_containers import archived, torch_like
from tests.tasks.scanners.corpus_formats import onnx_model, protobuf
from tests.tasks.scanners.corpus_pickles import EVIL, EVIL4, EXTENSIONS, called

__all__ = [
    "CALLABLES",
    "EVIL",
    "EVIL4",
    "archived",
    "called",
    "hostile",
    "onnx_model",
    "protobuf",
    "torch_like",
]

CALLABLES = Path(__file__).with_name("callables.txt").read_text(encoding="utf-8").split()


def hostile() -> Iterator[tuple[str, bytes]]:
    """All hostile files: ``kind/name`` and bytes."""
    for path in CALLABLES:
        for protocol in (0, 4):
            yield f"callables/{path}.p{protocol}.pkl", called(path, "1", protocol=protocol)
    for suffix in EXTENSIONS:
        yield f"extensions/model.{suffix}", EVIL if len(suffix) % 2 else EVIL4
    for kind, made, suffix in (
        ("opcodes", corpus_pickles.opcode_forms(), ".pkl"),
        ("broken", corpus_pickles.broken(), ".pkl"),
        ("zip", corpus_containers.zip_tricks(), ".pt"),
        ("wrapped", corpus_pickles.wrapped(), ""),
        ("joblib", corpus_pickles.joblib_tricks(), ""),
        ("arrays", corpus_pickles.arrays(), ""),
        ("nested", corpus_containers.nested(), ""),
        ("keras", corpus_formats.keras(), ""),
        ("onnx", corpus_formats.onnx(), ""),
        ("safetensors", corpus_formats.safetensors(), ".safetensors"),
        ("gguf", corpus_formats.gguf(), ".gguf"),
        ("skops", corpus_formats.skops(), ".skops"),
        ("texts", corpus_formats.texts(), ""),
        ("gadgets", corpus_bypasses.gadgets(), ".pkl"),
        ("streams", corpus_bypasses.streams(), ""),
        ("configurations", corpus_bypasses.configurations(), ""),
        ("torch", corpus_bypasses.torch_archives(), ""),
        ("containers", corpus_bypasses.containers(), ""),
        ("formats", corpus_bypasses.formats(), ""),
        ("programs", corpus_rules.programs(), ""),
        ("hdf5", corpus_rules.hdf5_files(), ""),
        ("settings", corpus_rules.texts(), ""),
        ("rules", corpus_rules.others(), ""),
    ):
        for name, data in made:
            yield f"{kind}/{name}{suffix}", data
