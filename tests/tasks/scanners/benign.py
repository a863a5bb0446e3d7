"""Honest files as their own libraries write them, made at test time."""

import bz2
import datetime as dt
import gzip
import io
import json
import pickle
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import safetensors.numpy
import scipy.sparse
import skops.io
import torch
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from tests.tasks.scanners.benign_hub import hub


def _bytes_of_torch(value: object, **options: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def network() -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.ReLU(),
        torch.nn.BatchNorm2d(4),
        torch.nn.Flatten(),
        torch.nn.Linear(144, 10),
    )


def torch_files() -> Iterator[tuple[str, bytes]]:
    torch.manual_seed(0)
    model = network()
    state = model.state_dict()
    yield "state.pt", _bytes_of_torch(state)
    yield "state.bin", _bytes_of_torch(state)
    yield "legacy.pth", _bytes_of_torch(state, _use_new_zipfile_serialization=False)
    yield "model.pt", _bytes_of_torch(model)
    yield (
        "half.pt",
        _bytes_of_torch(
            {k: v.bfloat16() if v.is_floating_point() else v for k, v in state.items()}
        ),
    )
    yield "tensor.pt", _bytes_of_torch(torch.arange(10))
    yield "sparse.pt", _bytes_of_torch(torch.eye(4).to_sparse())
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.zeros(2, 1, 8, 8)).sum().backward()
    optimizer.step()
    checkpoint = {
        "model": state,
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "loss": np.float32(0.5),
        "rng": torch.get_rng_state(),
        "when": dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
        "names": {"a", "b"},
    }
    yield "checkpoint.ckpt", _bytes_of_torch(checkpoint)
    yield "plain_state.pkl", pickle.dumps(state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of TorchScript
        for name, script in (
            ("scripted.pt", torch.jit.script(model)),
            ("traced.pt", torch.jit.trace(model.eval(), torch.zeros(1, 1, 8, 8))),
        ):
            buffer = io.BytesIO()
            torch.jit.save(script, buffer)
            yield name, buffer.getvalue()
        buffer = io.BytesIO()
        torch.export.save(torch.export.export(model.eval(), (torch.zeros(1, 1, 8, 8),)), buffer)
        yield "exported.pt2", buffer.getvalue()


def sklearn_models() -> list[object]:
    x, y = load_iris(return_X_y=True)
    small = [
        LogisticRegression(max_iter=200),
        SVC(probability=False),
        DecisionTreeClassifier(),
        RandomForestClassifier(4),
        GradientBoostingClassifier(n_estimators=3),
        HistGradientBoostingClassifier(max_iter=3),
        KNeighborsClassifier(algorithm="kd_tree"),
        KNeighborsClassifier(algorithm="ball_tree"),
        GaussianNB(),
        KMeans(3, n_init=1),
        PCA(2),
        SGDClassifier(),
        IsolationForest(n_estimators=3),
        MLPClassifier((4,), max_iter=5),
        GaussianProcessClassifier(),
        make_pipeline(StandardScaler(), SelectKBest(k=2), SVC()),
        make_pipeline(FunctionTransformer(np.log1p), LogisticRegression(max_iter=200)),
        StackingClassifier([("a", GaussianNB()), ("b", DecisionTreeClassifier())]),
        ColumnTransformer(
            [("a", StandardScaler(), [0]), ("b", OneHotEncoder(handle_unknown="ignore"), [1])]
        ),
        GridSearchCV(DecisionTreeClassifier(), {"max_depth": [2, 3]}, cv=2),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # five steps do not converge, and need not
        fitted: list[object] = [model.fit(x, y) for model in small]
    return [*fitted, TfidfVectorizer().fit(["a plain text", "another one"])]


def sklearn_files() -> Iterator[tuple[str, bytes]]:
    for index, model in enumerate(sklearn_models()):
        name = f"{index:02d}_{type(model).__name__}"
        buffer = io.BytesIO()
        joblib.dump(model, buffer)
        yield f"{name}.joblib", buffer.getvalue()
        yield f"{name}.pkl", pickle.dumps(model)
        yield f"{name}.skops", skops.io.dumps(model)
        if index % 4 == 0:
            for method in ("zlib", "gzip", "bz2", "xz", "lzma"):
                buffer = io.BytesIO()
                joblib.dump(model, buffer, compress=(method, 3))
                yield f"{name}.{method}.joblib", buffer.getvalue()


def array_files() -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng(0)
    for name, array in (
        ("f8", rng.normal(size=(20, 3))),
        ("u1", np.arange(256, dtype="u1")),
        ("s", np.array(["a", "bc"])),
        ("record", np.zeros(3, dtype=[("a", "i4"), ("b", "f8", (2,))])),
        ("scalar", np.array(3)),
    ):
        buffer = io.BytesIO()
        np.save(buffer, array)
        yield f"{name}.npy", buffer.getvalue()
        buffer = io.BytesIO()
        joblib.dump({"x": array, "y": [array, 1]}, buffer)
        yield f"{name}.joblib", buffer.getvalue()
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, x=rng.normal(size=(50, 8)), y=np.zeros(1_000_000))
        yield f"{save.__name__}.npz", buffer.getvalue()
    yield (
        "tensors.safetensors",
        safetensors.numpy.save({"a": np.zeros((2, 3), "f4"), "b": np.arange(4)}, {"format": "pt"}),
    )
    yield "bundle.yaml", b"claims: {}\nmodel: {name: reader}\n"  # eight bytes, then a brace
    for length in (128, 640):  # their length begins as a pickle of protocol 0 or 2 does
        yield f"header{length}.safetensors", _with_header(length)
    yield "none.safetensors", safetensors.numpy.save({"a": np.zeros((0, 3), "f4")})


def _with_header(length: int) -> bytes:
    """Returns safetensors whose header has that length, by the name of a tensor."""
    sizes = (safetensors.numpy.save({"a" * count: np.zeros(4, "f4")}) for count in range(1, length))
    return next(data for data in sizes if int.from_bytes(data[:8], "little") == length)


def plain_pickles() -> Iterator[tuple[str, bytes]]:
    value = {
        "a": [1, 2.5, None, True],
        "b": ("x", b"bytes", {1, 2}),
        "c": OrderedDict(a=1),
        "d": defaultdict(list),
        "e": Path("/a"),
        "f": np.float64(2),
        "g": dt.date(2025, 1, 1),
        "h": complex(1, 2),
    }
    for protocol in range(6):
        yield f"plain{protocol}.pkl", pickle.dumps(value, protocol=protocol)
        yield (
            f"array{protocol}.pkl",
            pickle.dumps(np.random.default_rng(0).normal(size=(30, 30)), protocol=protocol),
        )
    yield "vocabulary.pkl", pickle.dumps({f"word{i}": i for i in range(20_000)})
    yield "frame.pkl", pickle.dumps(pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}))
    yield "sparse.pkl", pickle.dumps(scipy.sparse.eye(4, format="csr"))
    yield "rng.pkl", pickle.dumps(np.random.default_rng(0))


def other_files() -> Iterator[tuple[str, bytes]]:
    yield (
        "card.md",
        (
            b"# Model card\n\n<div align='center'><img src='a.png'></div>\n\n"
            b"```html\n<script>\n```\nUse `torch.load`.\n"
        ),
    )
    yield "LICENSE", b"Apache License\nVersion 2.0\n"
    yield "data.csv", b"col1,col2\n1,-2\n3,4\n"
    yield "config.json", json.dumps({"architectures": ["BertModel"], "hidden_size": 8}).encode()
    yield (
        "tokenizer_config.json",
        json.dumps(
            {"chat_template": "{% for m in messages %}{{ m['role'] + ': ' }}{% endfor %}"}
        ).encode(),
    )
    yield (
        "keras.json",
        json.dumps(
            {
                "module": "keras",
                "class_name": "Sequential",
                "config": {
                    "layers": [
                        {
                            "module": "keras.layers",
                            "class_name": "Dense",
                            "config": {"units": 1, "activation": "relu"},
                            "registered_name": None,
                        }
                    ]
                },
            }
        ).encode(),
    )
    yield "layers.yaml", b"layers: [{conv2d: {in: 1, out: 16, kernel: 5}}, relu, flatten]\n"
    yield "requirements.txt", b"numpy>=2\ntorch==2.13.0\nscikit-learn\nscipy\n"
    yield "vocab.txt", b"[PAD]\n[UNK]\ncat\ncar\n"
    yield "words.txt", b"cat\ncar\ncarrot\n.\n"
    yield "dot.png", png()
    yield "table.parquet", _parquet(pd.DataFrame({"a": range(100), "b": ["x"] * 100}))
    yield "rows.jsonl.gz", gzip.compress(b'{"a": 1}\n{"a": 2}\n')
    yield "notes.txt.bz2", bz2.compress(b"a note\n")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("docs/", "")
        archive.writestr("docs/a.txt", "hello\n" * 100)
    yield "docs.zip", buffer.getvalue()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo("a.txt")
        info.size = 6
        tar.addfile(info, io.BytesIO(b"hello\n"))
    yield "docs.tar.gz", buffer.getvalue()
    text = b"general.name"
    yield (
        "small.gguf",
        b"GGUF"
        + struct.pack("<IQQ", 3, 0, 1)
        + struct.pack("<Q", len(text))
        + text
        + struct.pack("<IQ", 8, 4)
        + b"tiny",
    )


def onnx_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    path = folder / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about itself
        torch.onnx.export(network().eval(), (torch.zeros(1, 1, 8, 8),), str(path), dynamo=False)
        yield "net.onnx", path.read_bytes()
        torch.onnx.export(
            network().eval(),
            (torch.zeros(1, 1, 8, 8),),
            str(path),
            dynamo=True,
            verbose=False,
            external_data=False,
        )
        yield "dynamo.onnx", path.read_bytes()


def benign(folder: Path) -> Iterator[tuple[str, bytes]]:
    """All honest files: ``kind/name`` and bytes. ``folder`` is scratch."""
    for kind, made in (
        ("torch", torch_files()),
        ("sklearn", sklearn_files()),
        ("arrays", array_files()),
        ("pickles", plain_pickles()),
        ("other", other_files()),
        ("onnx", onnx_files(folder)),
    ):
        for name, data in made:
            yield f"{kind}/{name}", data
    yield from hub()


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0\0"))
        + chunk(b"IEND", b"")
    )


def _parquet(frame: object) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)  # type: ignore[attr-defined]  # a pandas frame
    return buffer.getvalue()
