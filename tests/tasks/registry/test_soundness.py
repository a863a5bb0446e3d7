"""Versions that hold a place are verified again, whatever their verdict says now."""

from collections.abc import Callable

import pytest

from tasks.domain.finding import Verdict
from tasks.ledger.entry import PROMOTIONS
from tasks.registry.registering import Why, promote, register
from tasks.registry.signing import model_files, trusted_folder
from tasks.registry.soundness import unsound_versions
from tests.tasks.registry.homes import MODEL, Home
from tests.tasks.registry.test_serving import claim_file, object_file

WHY = Why("a test", by="tester")
ASSET = f"{MODEL}@1"


@pytest.fixture(autouse=True)
def _registered(home: Home) -> None:
    register(home.seal().run, home.registry, WHY)


def key_no_longer_trusted(home: Home) -> None:
    for path in trusted_folder(home.path).iterdir():
        path.unlink()


def weights_changed(home: Home) -> None:
    place = object_file(home, model_files(home.subject())["model.safetensors"])
    place.chmod(0o644)
    place.write_bytes(b"poisoned")


def weights_gone(home: Home) -> None:
    object_file(home, model_files(home.subject())["model.safetensors"]).unlink()


def chain_cut(home: Home) -> None:
    promote(ASSET, "canary", home.registry, WHY)
    claim_file(home, next(iter(home.store.claims(PROMOTIONS)))).unlink()


def test_what_verifies_raises_nothing(home: Home) -> None:
    assert list(unsound_versions(home.registry)) == []
    home.seal(verdict=Verdict.REFUSED, occasion="nightly")
    assert list(unsound_versions(home.registry)) == [], "a verdict is another alarm"


@pytest.mark.parametrize("harm", [key_no_longer_trusted, weights_changed, weights_gone, chain_cut])
def test_what_does_not_verify_is_named(home: Home, harm: Callable[[Home], None]) -> None:
    harm(home)
    (found,) = unsound_versions(home.registry)
    assert found.problem
    assert MODEL in found.asset or harm is chain_cut
