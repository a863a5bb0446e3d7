"""Honest files as hubs and trainers hold them, beyond what one library writes by itself."""

import argparse
import collections
import gzip
import io
import json
import pickle
import struct
import tarfile
import typing
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lz4.frame
import numpy as np
import pandas as pd
import safetensors.numpy
import scipy.interpolate
import scipy.spatial
import scipy.stats
import skops.io
import torch
import zstandard
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.decomposition import NMF, FastICA, TruncatedSVD
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    VotingClassifier,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import RandomizedSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MinMaxScaler,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
)
from torch import nn

from tests.tasks.scanners.buffers import DENSE, executorch, hdf5, keras_h5, tflite
from tests.tasks.scanners.corpus_bypasses import sevenzip
from tests.tasks.scanners.corpus_containers import archived
from tests.tasks.scanners.corpus_formats import protobuf


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def rebuilt(path: str) -> bytes:
    """What a pickler writes for an object of a class that is not installed here."""
    module, _, name = path.rpartition(".")
    return f"\x80\x02c{module}\n{name}\n)\x81}}b.".encode("latin-1")


def modules() -> Iterator[tuple[str, bytes]]:
    """Whole modules, optimisers, schedulers."""
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates some of what hubs are full of
        normed = nn.utils.weight_norm(nn.Linear(2, 2))
        spectral = nn.utils.spectral_norm(nn.Linear(2, 2))
        nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
        made: dict[str, Any] = {
            "lstm": nn.LSTM(2, 3),
            "encoder": nn.TransformerEncoder(layer, 1),
            "attention": nn.MultiheadAttention(4, 2),
            "bag": nn.EmbeddingBag(3, 4),
            "named": nn.ModuleDict({"a": nn.GELU(), "b": nn.Dropout(0.1)}),
            "weight_norm": normed,
            "spectral_norm": spectral,
            "parallel": nn.DataParallel(nn.Linear(2, 2)),
            "nested": nested,
            "parameter": nn.Parameter(torch.ones(2)),
            "csr": torch.eye(3).to_sparse_csr(),
            "complex": torch.ones(2, dtype=torch.complex64),
            "meta": torch.ones(2, device="meta"),
            "float8": torch.ones(2).to(torch.float8_e4m3fn),
            "random": {
                "torch": torch.get_rng_state(),
                "numpy": np.random.RandomState(0).get_state(),
            },
            "kinds": [torch.float16, torch.device("cpu"), torch.Size([1]), torch.strided],
            "plain": [
                1,
                "a",
                None,
                {1},
                frozenset([1]),
                b"x",
                1.5,
                True,
                slice(1, 2),
                range(3),
                ...,
            ],
            "version": {"torch": torch.__version__, "state": nn.Linear(2, 2).state_dict()},
        }
        for name, value in made.items():
            yield f"{name}.pt", saved(value)
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    for kind in (torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop, torch.optim.Adagrad):
        optimiser = kind(model.parameters(), lr=0.1)
        yield f"{kind.__name__}.pt", saved(optimiser)
        yield f"{kind.__name__}_state.pt", saved(optimiser.state_dict())
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(torch.optim.SGD(model.parameters()), 10)
    yield "schedule.pt", saved(schedule)
    lightning = {
        "epoch": 1,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": model.state_dict(),
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(1.0)}},
        "hyper_parameters": argparse.Namespace(lr=0.1, layers=[1, 2]),
        "lr_schedulers": [{"base_lrs": [0.1]}],
    }
    yield "lightning.ckpt", saved(lightning)


def estimators() -> Iterator[tuple[str, bytes]]:
    """Estimators and pipelines, as pickles and as skops files."""
    x, y = load_iris(return_X_y=True)
    chosen = {"C": scipy.stats.loguniform(1e-2, 1)}
    uniform = {"C": scipy.stats.uniform(0.1, 1)}
    slow = LogisticRegression(max_iter=300)
    for index, model in enumerate(
        (
            VotingClassifier([("a", GaussianNB())]),
            AdaBoostClassifier(n_estimators=3),
            BaggingRegressor(n_estimators=2),
            ExtraTreesClassifier(3),
            CalibratedClassifierCV(GaussianNB(), cv=2),
            RandomizedSearchCV(slow, chosen, n_iter=2, cv=2),
            RandomizedSearchCV(slow, uniform, n_iter=2, cv=2),
            make_pipeline(SimpleImputer(), PolynomialFeatures(), Ridge()),
            FeatureUnion([("a", StandardScaler()), ("b", MinMaxScaler())]),
            LocalOutlierFactor(),
            GaussianMixture(2),
            GaussianProcessRegressor(RBF() + WhiteKernel()),
            NMF(2, max_iter=400),
            TruncatedSVD(2),
            FastICA(2),
            KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"),
            PowerTransformer(),
            QuantileTransformer(n_quantiles=5),
            SplineTransformer(),
        )
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some do not converge, and need not
            model.fit(x, y)
        name = f"{index:02}_{type(model).__name__}"
        yield f"{name}.pkl", pickle.dumps(model)
        if index in (3, 7, 11):
            yield f"{name}.skops", skops.io.dumps(model)


def objects() -> Iterator[tuple[str, bytes]]:
    """Frames, arrays and functions of scientific libraries."""
    index = pd.MultiIndex.from_tuples([(1, "a"), (2, "b")])
    columns = {
        "a": [1, 2],
        "b": pd.Categorical(["x", "y"]),
        "c": pd.to_datetime(["2020", "2021"]),
        "d": ["s", "t"],
        "e": pd.array([1, None], dtype="Int64"),
    }
    made: dict[str, Any] = {
        "frame": pd.DataFrame(columns, index=index),
        "periods": pd.period_range("2020", "2021", freq="M"),
        "bins": pd.cut(pd.Series([1, 2, 3]), 2),
        "delta": pd.Timedelta(1),
        "moment": pd.Timestamp("2020", tz="UTC"),
        "zone": pd.date_range("2020", periods=2, tz="Europe/Paris"),
        "flags": pd.Series([True, None], dtype="boolean"),
        "masked": np.ma.array([1, 2], mask=[False, True]),
        "dates": np.array(["2020"], dtype="M8[D]"),
        "records": np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        "polynomial": np.poly1d([1, 2]),
        "chebyshev": np.polynomial.Chebyshev([1, 2]),
        "texts": np.array(["a", "b"], dtype=np.dtypes.StringDType()),
        "objects": np.array(["a", None], dtype=object),
        "columns": np.asfortranarray(np.ones((3, 4))),
        "ufunc": np.sin,
        "random": np.random.RandomState(0),
        "generator": np.random.Generator(np.random.MT19937(1)),
        "line": scipy.interpolate.interp1d([1, 2], [3, 4]),
        "cubic": scipy.interpolate.CubicSpline([1, 2, 3], [1, 2, 3]),
        "neighbours": scipy.spatial.cKDTree(np.ones((3, 2))),
        "normal": scipy.stats.norm(0, 1),
        "binomial": scipy.stats.binom(3, 0.5),
        "density": scipy.stats.gaussian_kde([1.0, 2.0, 3.0]),
        "counter": collections.Counter("aab"),
        "hint": {"type": typing.Any},
    }
    for name, value in made.items():
        yield f"{name}.pkl", pickle.dumps(value)
    numbers = [(i, i / 3, f"w{i}", [i, None]) for i in range(3_000)]
    for protocol in range(6):
        yield f"numbers{protocol}.pkl", pickle.dumps(numbers, protocol=protocol)


CLASSES = (
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.nodes.AnyNode",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "transformers.training_args.TrainingArguments",
    "transformers.trainer_pt_utils.AcceleratorConfig",
    "torch.distributed.checkpoint.metadata.Metadata",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.core.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.basic.Booster",
    "catboost.core.CatBoostClassifier",
    "torchvision.models.resnet.ResNet",
    "torchvision.models.vgg.VGG",
    "tokenizers.Tokenizer",
    "ultralytics.nn.tasks.DetectionModel",
    "ultralytics.nn.modules.block.C2f",
    "trl.trainer.sft_config.SFTConfig",
    "torch.utils.data.dataset.TensorDataset",
)

TEMPLATES = tuple(
    path.read_text(encoding="utf-8")
    for path in sorted(Path(__file__).with_name("chat_templates").glob("*.jinja"))
)


def hub_folder() -> Iterator[tuple[str, bytes]]:
    """What ``save_pretrained`` and the usual cards leave in a folder."""
    state = {"embed.weight": np.zeros((8, 4), "f4"), "head.weight": np.ones((4, 8), "f2")}
    yield "model.safetensors", safetensors.numpy.save(state, {"format": "pt"})
    index = {"metadata": {"total_size": 1}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}
    yield "model.safetensors.index.json", json.dumps(index).encode()
    tensors = collections.OrderedDict((name, torch.from_numpy(a)) for name, a in state.items())
    yield "pytorch_model.bin", saved(tensors)
    config = {
        "architectures": ["BertForMaskedLM"],
        "id2label": {"0": "NO", "1": "YES"},
        "torch_dtype": "float32",
        "quantization_config": {"bits": 4, "quant_method": "gptq"},
        "task_specific_params": None,
    }
    yield "config.json", json.dumps(config).encode()
    yield "generation_config.json", json.dumps({"eos_token_id": [1, 2], "top_p": 0.9}).encode()
    tokenizer = {
        "version": "1.0",
        "added_tokens": [{"id": 0, "content": "<s>", "special": True}],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}]},
        "model": {
            "type": "BPE",
            "vocab": {"\u0120a": 1, "{{": 2, "{%": 3, "__init__": 4},
            "merges": [],
        },
    }
    yield "tokenizer.json", json.dumps(tokenizer).encode()
    for number, template in enumerate(TEMPLATES):
        settings = {"chat_template": template, "tokenizer_class": "PreTrainedTokenizerFast"}
        yield f"{number}/tokenizer_config.json", json.dumps(settings).encode()
        yield f"{number}/chat_template.jinja", template.encode()
    yield "special_tokens_map.json", b'{"bos_token": "<s>", "eos_token": {"content": "</s>"}}'
    parts = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}
    ]
    yield "modules.json", json.dumps(parts).encode()
    pipeline = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
    }
    yield "model_index.json", json.dumps(pipeline).encode()
    adapter = {"auto_mapping": None, "peft_type": "LORA", "target_modules": ["q_proj"]}
    yield "adapter_config.json", json.dumps(adapter).encode()
    yield "merges.txt", b"#version: 0.2\n\xc4\xa0 t\nh e\nc os\n"
    yield "vocab.json", json.dumps({"!": 0, "\u0120the": 1}).encode()
    yield ".gitattributes", b"*.bin filter=lfs diff=lfs merge=lfs -text\n"
    front = (
        b"---\nlicense: apache-2.0\ntags: [text]\n---\n# Model\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    code = b"\n```python\nfrom x import y\nm = y.load('z', trust_remote_code=True)\n```\n"
    yield "README.md", front + code
    yield "MLmodel", b"flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n"
    yield "conda.yaml", b"channels: [conda-forge]\ndependencies:\n- python=3.11\n- pip\n"
    yield "trainer_state.json", json.dumps({"log_history": [{"loss": float("nan")}]}).encode()
    piece = [
        protobuf((1, protobuf((1, f"\u2581w{n}".encode())) + b"\x15" + struct.pack("<f", -n)))
        for n in range(40)
    ]
    spec = b"".join(piece) + protobuf((2, protobuf((1, b"corpus.txt"))))
    yield "tokenizer.model", spec


def graphs() -> Iterator[tuple[str, bytes]]:
    """Keras, TensorFlow, ExecuTorch, GGUF, and archives of plain things."""
    for version in ("earliest", "latest"):
        yield f"keras_{version}.h5", hdf5(keras_h5([DENSE], groups=20), libver=version)
    layer = {"module": "keras.layers", "registered_name": None, **DENSE}
    model = {"module": "keras", "class_name": "Sequential", "config": {"layers": [layer]}}
    members = {
        "metadata.json": b'{"keras_version": "3.5.0"}',
        "config.json": json.dumps(model).encode(),
        "model.weights.h5": hdf5(keras_h5([DENSE])),
    }
    yield "model.keras", archived(members)
    words = "Placeholder VarHandleOp ReadVariableOp MatMul BiasAdd Relu Softmax SaveV2 RestoreV2"
    names = [*words.split(), "StatefulPartitionedCall", "MergeV2Checkpoints", "NoOp", "Const"]
    nodes = [
        (1, protobuf((1, f"n{i}".encode()), (2, name.encode()))) for i, name in enumerate(names)
    ]
    yield "saved_model.pb", protobuf((1, 1), (2, protobuf((2, protobuf(*nodes)))))
    yield "frozen.pb", protobuf(*nodes)
    yield "model.tflite", tflite(buffer=bytes(64))
    yield "program.pte", executorch(delegates=["XnnpackBackend"], data=bytes(64))
    yield "segmented.pte", executorch(segment=bytes(range(256)))
    yield "model.gguf", _gguf()
    yield "notes.7z", sevenzip(b"a plain note\n", name="notes.txt")
    yield "notes.txt.lz4", lz4.frame.compress(b"a plain note\n" * 99)
    yield "notes.txt.zst", zstandard.ZstdCompressor().compress(b"a plain note\n" * 99)
    yield "frame.pkl.gz", gzip.compress(pickle.dumps(pd.DataFrame({"a": [1, 2]})))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(f"model/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    yield "model.tar.gz", buffer.getvalue()


def _gguf() -> bytes:
    """Two tensors behind aligned metadata with a template, as converters write them."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    pairs = text("general.architecture") + struct.pack("<I", 8) + text("llama")
    pairs += text("general.alignment") + struct.pack("<II", 4, 32)
    pairs += text("tokenizer.chat_template") + struct.pack("<I", 8) + text(TEMPLATES[0])
    pairs += text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("{{")
    table = text("a") + struct.pack("<IQIQ", 1, 32, 8, 0)
    table += text("b") + struct.pack("<IQQIQ", 2, 4, 2, 0, 64)
    head = b"GGUF" + struct.pack("<IQQ", 3, 2, 4) + pairs + table
    return head.ljust(-(-len(head) // 32) * 32, b"\0") + bytes(64) + bytes(32)


def hub() -> Iterator[tuple[str, bytes]]:
    """All of them: ``kind/name`` and bytes."""
    for kind, made in (
        ("modules", modules()),
        ("estimators", estimators()),
        ("objects", objects()),
        ("hub", hub_folder()),
        ("graphs", graphs()),
    ):
        for name, data in made:
            yield f"{kind}/{name}", data
    for path in CLASSES:
        yield f"classes/{path}.pkl", rebuilt(path)
