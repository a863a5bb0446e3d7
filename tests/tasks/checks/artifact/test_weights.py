import io
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from tasks.checks.artifact.weights import measure
from tasks.checks.lab import NotAvailable
from tasks.domain.measurement import Measurement
from tests.tasks.checks.benches import lab
from tests.tasks.scanners.corpus import onnx_model, protobuf


def measured(tmp_path: Path, data: bytes) -> Measurement:
    return measure(lab("artifact.weights", tmp_path, files={"model.safetensors": data}))


def rules(measurement: Measurement) -> list[str]:
    return [each.rule for each in measurement.observations]


def test_ordinary_weights_are_counted(tmp_path: Path) -> None:
    weights = {"a": np.linspace(-1, 1, 100, dtype="f4"), "b": np.arange(5)}
    measurement = measured(tmp_path, safetensors.numpy.save(weights))
    assert rules(measurement) == []
    assert measurement.facts["numbers"] == 105
    assert measurement.estimates["not_finite"].value == 0


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_bad_number_is_found(tmp_path: Path, dtype: str, bad: float) -> None:
    array = np.ones(1000, dtype)
    array[777] = bad
    measurement = measured(tmp_path, safetensors.numpy.save({"w": array}))
    assert rules(measurement) == ["weights.not_finite"]
    assert measurement.facts["not_finite"] == 1


def test_subnormal_complex_and_empty_tensors_are_named(tmp_path: Path) -> None:
    weights = {
        "a": np.full(64, 1e-40, "f4"),
        "b": np.ones(4, "c8"),
        "c": np.zeros((0, 3), "f4"),
    }
    found = rules(measured(tmp_path, safetensors.numpy.save(weights)))
    assert sorted(found) == ["weights.complex", "weights.empty", "weights.subnormal"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_torch_storages_are_read_by_their_type(tmp_path: Path, dtype: torch.dtype) -> None:
    values = torch.ones(100, dtype=dtype)
    values[3] = float("nan")
    buffer = io.BytesIO()
    torch.save({"a": values, "b": torch.arange(3)}, buffer)
    measurement = measured(tmp_path, buffer.getvalue())
    assert measurement.facts["not_finite"] == 1
    assert measurement.facts["numbers"] == 100 + 24  # integers are counted as bytes


def test_archives_of_arrays_are_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=np.array([1.0, np.nan]), y=np.array([1], dtype=object))
    assert sorted(rules(measured(tmp_path, buffer.getvalue()))) == [
        "weights.not_finite",
        "weights.objects",
    ]


def test_onnx_initialisers_are_read(tmp_path: Path) -> None:
    raw = np.array([1, np.inf], "f4").tobytes()
    tensor = protobuf((1, 2), (2, 1), (8, b"w"), (9, raw))
    assert rules(measured(tmp_path, onnx_model(initializer=tensor))) == ["weights.not_finite"]


def test_an_artifact_without_numbers_is_not_a_model(tmp_path: Path) -> None:
    assert rules(measured(tmp_path, safetensors.numpy.save({}))) == ["weights.none"]


def test_a_format_without_tensor_table_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable):
        measured(tmp_path, b"\x80\x04N.")
