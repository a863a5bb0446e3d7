"""Bad bundles: a clear message or a finding, the right exit code, no traceback, nothing left."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.services.asked import only_when_asked
from tests.services.installed import Bundles, Proofhouse

Spoil = Callable[[Path], None]


def edited(**changes: object) -> Spoil:
    def spoil(bundle: Path) -> None:
        described = yaml.safe_load((bundle / "bundle.yaml").read_text())
        for dotted, value in changes.items():
            *path, last = dotted.split("__")
            place = described
            for part in path:
                place = place[part]
            place[last] = value
        (bundle / "bundle.yaml").write_text(yaml.safe_dump(described))

    return spoil


def no_manifest(bundle: Path) -> None:
    (bundle / "bundle.yaml").unlink()


def missing_artifact(bundle: Path) -> None:
    (bundle / "model" / "digits.onnx").unlink()


def symlink(bundle: Path) -> None:
    (bundle / "extras").symlink_to("/etc")


def fifo(bundle: Path) -> None:
    os.mkfifo(bundle / "pipe")


def sparse_file(bundle: Path) -> None:
    with (bundle / "huge.bin").open("wb") as stream:
        stream.truncate(11 << 30)


def yaml_bomb(bundle: Path) -> None:
    levels = "".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]\n" for i in range(1, 12))
    (bundle / "bundle.yaml").write_text("l0: &l0 [lol]\n" + levels)


REFUSED_AT_ONCE: dict[str, tuple[Spoil, str]] = {
    "no manifest": (no_manifest, "bundle.yaml"),
    "missing file": (missing_artifact, "model/digits.onnx"),
    "unknown key": (edited(colour="blue"), "colour"),
    "path outside": (edited(model__artifact="../../etc/passwd"), "etc/passwd"),
    "absolute path": (edited(model__artifact="/etc/passwd"), "etc/passwd"),
    "symlink": (symlink, "extras"),
    "FIFO": (fifo, "pipe"),
    "sparse file": (sparse_file, "huge.bin"),
    "YAML bomb": (yaml_bomb, "bundle.yaml"),
    "no classes": (edited(model__output={"kind": "logits"}), "classes"),
}


@pytest.fixture
def bundle(bundles: Bundles, tmp_path: Path) -> Path:
    copy = tmp_path / "bundle"
    shutil.copytree(bundles.honest, copy)
    return copy


IN_BRIEF = {"missing file", "symlink", "YAML bomb"}
"""One that is not there, one that leads away, one that grows; intake's own tests meet them all."""
all_of_them = only_when_asked("others of its kind are tried")


@pytest.mark.parametrize(
    "case",
    [pytest.param(each, marks=() if each in IN_BRIEF else all_of_them) for each in REFUSED_AT_ONCE],
)
def test_a_bundle_that_cannot_be_used_is_a_clear_error(
    case: str, bundle: Path, proofhouse: Proofhouse
) -> None:
    spoil, named = REFUSED_AT_ONCE[case]
    spoil(bundle)
    ran = proofhouse("onboard", bundle, "--battery", "test.fast", "--json")
    assert ran.code == 2, ran.err
    assert named in ran.document["error"]["text"]
    assert "Traceback" not in ran.err
    assert list((proofhouse.home / "scratch").glob("*")) == []
    assert proofhouse("inventory", "runs", "--json").document == {"runs": []}


def test_a_bundle_that_is_not_there(proofhouse: Proofhouse, tmp_path: Path) -> None:
    ran = proofhouse("onboard", tmp_path / "nothing", "--json")
    assert ran.code == 2
    assert "does not exist" in ran.document["error"]["text"]


def test_an_unknown_battery_names_the_known_ones(bundle: Path, proofhouse: Proofhouse) -> None:
    ran = proofhouse("onboard", bundle, "--battery", "none.such", "--json")
    assert ran.code == 2
    assert "onboarding.standard" in ran.document["error"]["text"]


def test_an_unreadable_signing_key_stops_before_any_work(
    bundle: Path, proofhouse: Proofhouse
) -> None:
    assert proofhouse("keys", "init").code == 0
    private = proofhouse.home / "keys" / "signing.pem"
    private.write_text("not a key")
    private.chmod(stat.S_IRUSR | stat.S_IWUSR)
    ran = proofhouse("onboard", bundle, "--battery", "test.fast", "--json")
    assert ran.code == 2
    assert "signing.pem" in ran.document["error"]["text"]
    assert not (proofhouse.home / "reports").exists()


def test_a_store_that_does_not_answer_is_a_clear_error(
    bundle: Path, proofhouse: Proofhouse
) -> None:
    proofhouse.environment |= {
        "PROOFHOUSE_STORE": "s3://evidence/here",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    ran = proofhouse("onboard", bundle, "--battery", "test.fast", "--json")
    assert ran.code == 2
    assert "127.0.0.1:9" in ran.document["error"]["text"]
    assert "Traceback" not in ran.err


def test_a_prefect_server_that_is_gone_is_a_clear_error(
    bundle: Path, proofhouse: Proofhouse
) -> None:
    proofhouse.environment["PREFECT_API_URL"] = "http://127.0.0.1:9/api"
    ran = proofhouse("onboard", bundle, "--json")
    assert ran.code == 2
    assert "PREFECT_API_URL" in ran.document["error"]["text"]
