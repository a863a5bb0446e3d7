"""A kept bundle's papers, read again on another day: only what the world says may differ."""

import json
import shutil
from pathlib import Path

import pytest

from tasks.domain.bundle import Subject
from tasks.domain.vendor import VendorState, VendorView
from tasks.intake.filling import filled_in
from tasks.intake.subject import Outside, read_again
from tests.simulators.store import MemoryStore
from tests.tasks.intake.bundles import rules, take_in
from tests.tasks.intake.test_dependencies import osv
from tests.tasks.intake.test_papers import Vendor


class Kept:
    """A bundle that was taken in with its vendor's key trusted, and whose folder is gone."""

    def __init__(self, folder: Path) -> None:
        vendor = Vendor(folder)
        (vendor.folder / "requirements.txt").write_text("numpy==1.0\n")
        vendor.sign()
        self.store = MemoryStore()
        self.world = Outside(trusted_keys=(vendor.public,))
        self.workspace = folder / "w"
        self.subject = take_in(
            vendor.folder, self.workspace, store=self.store, trusted=self.world.trusted_keys
        )
        shutil.rmtree(vendor.folder)

    def again(self, world: Outside, subject: Subject | None = None) -> Subject:
        return read_again(subject or self.subject, world, self.store, self.workspace)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_in_the_same_world_they_read_the_same(kept: Kept) -> None:
    assert kept.again(kept.world).canonical() == kept.subject.canonical()
    filled = filled_in(kept.subject, {"data.rows": 10}, "Eve")
    assert kept.again(kept.world, filled).canonical() == filled.canonical()
    assert list(kept.workspace.iterdir()) == []


def test_a_vulnerability_that_was_published_since_is_known(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "osv.json").write_text(json.dumps(osv("X-1", "numpy", versions=["1.0"])))
    today = kept.again(kept.world._replace(advisories=tmp_path / "osv.json"))
    new = rules(today).keys() - rules(kept.subject).keys()
    assert new >= {"provenance.advisories.source", "provenance.advisories.vulnerable"}
    assert today.is_same_bundle(kept.subject)
    assert kept.again(kept.world, today).canonical() == kept.subject.canonical()


def test_a_key_that_is_trusted_no_more_vouches_no_more(kept: Kept) -> None:
    assert "provenance.signature.valid" in rules(kept.subject)
    assert "provenance.signature.valid" not in rules(kept.again(Outside()))


def test_a_vendor_that_was_barred_since_is_barred(kept: Kept) -> None:
    view = VendorView(state=VendorState.SUSPENDED, reason="breach")
    today = kept.again(kept.world._replace(register=lambda _: view))
    assert "governance.vendor.suspended" in rules(today)
