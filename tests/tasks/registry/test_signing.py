"""The model key and its signatures; the library's own verifier must agree."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.domain.errors import SigningError
from tasks.registry.exporting import export
from tasks.registry.registering import Why, register
from tasks.registry.signing import development_key, trusted_folder
from tests.tasks.ledger.races import made_meanwhile
from tests.tasks.registry.homes import MODEL, Home

WHY = Why("a test", by="tester")


def test_many_processes_make_one_key(home: Home) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: development_key(home.path).read_bytes(), range(16)))
    assert len(made) == 1
    assert len(list(trusted_folder(home.path).glob("*.pub"))) == 1
    assert development_key(home.path).stat().st_mode & 0o777 == 0o600


def test_a_key_that_another_process_makes_meanwhile_is_used(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_meanwhile(lambda: development_key(home.path), monkeypatch)
    assert development_key(home.path).exists()


def test_a_lost_private_key_is_not_replaced_in_silence(home: Home) -> None:
    development_key(home.path).unlink()
    with pytest.raises(SigningError, match="is missing"):
        development_key(home.path)


def test_a_key_of_another_kind_is_refused(home: Home) -> None:
    place = home.path / "other.pem"
    place.write_text("no key")
    registry = home.registry._replace(model_key=str(place))
    with pytest.raises(SigningError, match="cannot sign"):
        register(home.seal().run, registry, WHY)


def test_the_reference_implementation_verifies_an_export(home: Home) -> None:
    register(home.seal().run, home.registry, WHY)
    out = home.path / "export"
    export(f"{MODEL}@candidate", "files", out, home.registry)

    def verify() -> "subprocess.CompletedProcess[str]":
        words = ["verify", "key", "--signature", out / "evidence" / "model.sig"]
        words += ["--public_key", out / "evidence" / "model-key.pub", out / "model"]
        command = [sys.executable, "-m", "model_signing", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = verify()
    assert done.returncode == 0, done.stderr
    (out / "model" / "layers.yaml").write_text("layers: []\n")
    assert verify().returncode != 0
