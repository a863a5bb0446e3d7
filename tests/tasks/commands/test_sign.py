"""``proofhouse sign`` as people type it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tasks.cli import app
from tasks.intake.writing import make_vendor_key
from tests.tasks.intake.bundles import make_bundle, manifest, rules, take_in


def test_a_bundle_is_signed_where_its_manifest_says(tmp_path: Path) -> None:
    public = make_vendor_key(tmp_path / "acme.pem")
    value = manifest()
    value["signature"] = {"path": "model.sig", "method": "key"}
    folder = make_bundle(tmp_path / "b", value)

    done = CliRunner().invoke(
        app, ["sign", str(folder), "--key", str(tmp_path / "acme.pem"), "--json"]
    )

    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["signature"] == str(folder / "model.sig")
    seen = rules(take_in(folder, tmp_path / "w", trusted=(public,)))
    assert "provenance.signature.valid" in seen


MISTAKES = {
    "no model": (["nowhere", "--key", "acme.pem"], "model nowhere does not exist"),
    "no key": ([".", "--key", "nowhere.pem"], "key nowhere.pem does not exist"),
    "a public key": ([".", "--key", "acme.pub"], "must be a P-256"),
    "a chain alone": ([".", "--key", "acme.pem", "--chain", "acme.pub"], "belongs to"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    make_vendor_key(tmp_path / "acme.pem")
    monkeypatch.chdir(tmp_path)
    arguments, words = MISTAKES[name]
    done = CliRunner().invoke(app, ["sign", *arguments])
    assert done.exit_code == 2
    assert words in " ".join(done.stderr.split())
    assert not (tmp_path / "model.sig").exists()
