"""Whose key vouches for whom, on really signed bundles."""

import shutil
from pathlib import Path

import pytest

from tasks.domain.bundle import Subject
from tasks.domain.vendor import VendorState, VendorView
from tasks.intake.signature import read_trusted
from tasks.intake.subject import Outside, build_subject
from tasks.intake.vouching import FAMILY, fingerprint
from tasks.intake.writing import make_vendor_key, sign_model
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore
from tests.tasks.intake.bundles import make_bundle, manifest

VENDOR = "acme-vision"


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A bundle that Acme Vision's key signed, and the public half."""
    folder = tmp_path_factory.mktemp("signed")
    told = manifest() | {"signature": {"path": "model.sig", "method": "key"}}
    bundle = make_bundle(folder / "bundle", told)
    public = make_vendor_key(folder / "vendor.pem")
    sign_model(bundle, folder / "vendor.pem")
    return bundle, public


def rules(signed: tuple[Path, Path], tmp_path: Path, name: str, view: VendorView) -> set[str]:
    """Takes the bundle in with its key under the file name ``name``."""
    bundle, public = signed
    trusted = tmp_path / name
    shutil.copyfile(public, trusted)
    workspace = tmp_path / "work"
    workspace.mkdir()
    subject: Subject = build_subject(
        bundle,
        store=MemoryStore(),
        sandbox=DirectSandbox(),
        workspace=workspace,
        outside=Outside(
            trusted_keys=(trusted,),
            register=lambda asked: view if asked == "Acme Vision" else VendorView(),
        ),
    )
    assert "provenance.signature.valid" in {item.rule for item in subject.observations}
    found = (item.rule for item in subject.observations)
    return {rule.removeprefix(FAMILY) for rule in found if rule.startswith(FAMILY)}


def mark(public: Path) -> str:
    return fingerprint(read_trusted([public]).keys[0][1])


@pytest.mark.parametrize("name", ["acme-vision.pub", "acme-vision.2026.pub", "Acme_Vision.pub"])
def test_a_key_named_after_its_vendor_is_its_own(
    signed: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    assert rules(signed, tmp_path, name, VendorView()) == set()


def test_a_bound_key_may_have_any_name(signed: tuple[Path, Path], tmp_path: Path) -> None:
    view = VendorView(owners={mark(signed[1]): VENDOR})
    assert rules(signed, tmp_path, "k1.pub", view) == set()


def test_the_key_of_another_vendor_does_not_vouch(
    signed: tuple[Path, Path], tmp_path: Path
) -> None:
    known = VendorView(known=frozenset({"northwind-models", VENDOR}))
    assert rules(signed, tmp_path, "northwind-models.pub", known) == {"foreign_key"}


def test_the_register_wins_over_the_file_name(signed: tuple[Path, Path], tmp_path: Path) -> None:
    view = VendorView(owners={mark(signed[1]): "northwind-models"})
    assert rules(signed, tmp_path, "acme-vision.pub", view) == {"foreign_key"}


def test_a_key_that_nobody_bound_is_told(signed: tuple[Path, Path], tmp_path: Path) -> None:
    assert rules(signed, tmp_path, "k1.pub", VendorView()) == {"unbound_key"}


@pytest.mark.parametrize("state", ["suspended", "offboarded"])
def test_a_barred_vendor_is_told_with_the_reason(
    signed: tuple[Path, Path], tmp_path: Path, state: str
) -> None:
    view = VendorView(state=VendorState(state), reason="key leaked")
    assert rules(signed, tmp_path, "acme-vision.pub", view) == {state}
