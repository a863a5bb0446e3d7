"""Exports for V2 servers: only accepted models, and only where a server can run them."""

import json
from pathlib import Path

import pytest
import yaml

from tasks.domain.bundle import FileEntry
from tasks.domain.errors import InvalidInputError
from tasks.registry.exporting import Format, export
from tasks.registry.registering import Why, register, withdraw
from tasks.registry.serving import UnsignedModelError
from tests.tasks.registry.homes import MODEL, Home

WHY = Why("a test", by="tester")


def onboarded(home: Home, artifact: str) -> None:
    """Registers a model whose one file has this name."""
    data = b"bytes of " + artifact.encode()
    subject = home.subject(artifact=artifact, architecture=None)
    file = FileEntry(path=artifact, digest=home.store.put(data).digest, size_bytes=len(data))
    register(
        home.seal(subject=subject.model_copy(update={"files": (file,)})).run, home.registry, WHY
    )


def test_triton_finds_a_repository(home: Home, tmp_path: Path) -> None:
    onboarded(home, "model/digits.onnx")
    export(f"{MODEL}@1", "triton", tmp_path / "out", home.registry)
    repository = tmp_path / "out" / "repository" / "acme-reader"
    assert (repository / "1" / "model.onnx").read_bytes() == b"bytes of model/digits.onnx"
    assert 'platform: "onnxruntime_onnx"' in (repository / "config.pbtxt").read_text()


def test_torchscript_for_triton_tells_its_tensors(home: Home, tmp_path: Path) -> None:
    onboarded(home, "model.pt")
    export(f"{MODEL}@1", "triton", tmp_path / "out", home.registry)
    config = (tmp_path / "out" / "repository" / "acme-reader" / "config.pbtxt").read_text()
    assert 'name: "INPUT__0" data_type: TYPE_FP32 dims: [ -1, 4 ]' in config
    assert 'name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ -1, 3 ]' in config


def test_mlserver_gets_its_settings(home: Home, tmp_path: Path) -> None:
    onboarded(home, "model/tree.joblib")
    export(f"{MODEL}@candidate", "mlserver", tmp_path / "out", home.registry)
    settings = json.loads((tmp_path / "out" / "model-settings.json").read_text())
    assert settings["implementation"] == "mlserver_sklearn.SKLearnModel"
    assert (tmp_path / "out" / settings["parameters"]["uri"]).read_bytes()
    assert settings["inputs"] == [{"name": "input-0", "datatype": "FP32", "shape": [-1, 4]}]
    assert settings["parameters"]["extra"]["asset"] == f"{MODEL}@1"


def test_kserve_gets_a_service(home: Home, tmp_path: Path) -> None:
    onboarded(home, "model/digits.onnx")
    export(f"{MODEL}@1", "kserve", tmp_path / "out", home.registry, uri="s3://models/reader")
    service = yaml.safe_load((tmp_path / "out" / "inference-service.yaml").read_text())
    model = service["spec"]["predictor"]["model"]
    assert model == {
        "modelFormat": {"name": "onnx"},
        "protocolVersion": "v2",
        "storageUri": "s3://models/reader",
    }
    assert service["metadata"]["annotations"]["proofhouse.dev/asset"] == f"{MODEL}@1"


@pytest.mark.parametrize(
    ("format_", "artifact", "words"),
    [
        ("mlserver", "m.onnx", "MLServer runs no .onnx"),
        ("triton", "m.joblib", "Triton runs no .joblib"),
        ("kserve", "m.safetensors", "KServe runs no .safetensors"),
        ("kserve", "m.onnx", "give --uri"),
    ],
)
def test_what_a_server_cannot_run_is_said_and_nothing_is_left(
    home: Home, tmp_path: Path, format_: Format, artifact: str, words: str
) -> None:
    onboarded(home, artifact)
    with pytest.raises(InvalidInputError, match=words):
        export(f"{MODEL}@1", format_, tmp_path / "out", home.registry)
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def test_what_must_not_be_loaded_is_not_exported(home: Home, tmp_path: Path) -> None:
    onboarded(home, "m.onnx")
    withdraw(f"{MODEL}@1", home.registry, WHY)
    with pytest.raises(UnsignedModelError):
        export(f"{MODEL}@1", "files", tmp_path / "out", home.registry)


def test_a_folder_that_exists_is_left_alone(home: Home, tmp_path: Path) -> None:
    onboarded(home, "m.onnx")
    with pytest.raises(InvalidInputError, match="exists"):
        export(f"{MODEL}@1", "files", tmp_path, home.registry)
