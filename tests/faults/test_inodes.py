"""Scratch has no inodes left: the step says so, gives back what it took, and the next run works.

Row 13 of the fault scorecard; for bytes see ``tests/e2e/test_disk_full.py``.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import hostile_bundles as hostile
from tests.e2e.test_disk_full import BATTERY, MIB, REVIEW, Disk
from tests.faults.test_onboarding_kill import claims, wait_until
from tests.services.installed import Proofhouse
from tests.services.living import wait_until_none_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
BAD_INPUT = 2
INODES = 200
"""The bundle and its checks take about 70."""


class Inodes(Disk):
    """A file system with room for bytes, and few files."""

    def fill(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                (self.folder / f"ballast-{time.monotonic_ns()}").touch()

    def empty(self) -> None:
        for file in self.folder.glob("ballast-*"):
            file.unlink()


@pytest.fixture
def scratch(fresh_house: Proofhouse) -> Iterator[Inodes]:
    folder = fresh_house.home / "scratch"
    folder.mkdir()
    disk = Inodes(folder)
    disk.mount(64 * MIB, inodes=INODES)
    yield disk
    disk.unmount()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = hostile.write_bundle(tmp_path / "bundle", "model.pt", hostile.fine)
    for number in range(60):
        (folder / f"note-{number}.txt").write_text(f"note {number}")
    return folder


def test_inodes_that_run_out_between_two_checks(
    fresh_house: Proofhouse, scratch: Inodes, bundle: Path, tmp_path: Path
) -> None:
    home, log = fresh_house.home, tmp_path / "log"
    flow = fresh_house.start("onboard", bundle, *BATTERY, log=log)
    wait_until(lambda: bool(claims(home, "measurements")), "a first measurement")
    while flow.poll() is None:
        scratch.fill()
        time.sleep(0.005)
    scratch.empty()
    told = log.read_text()
    assert flow.returncode == BAD_INPUT, told
    assert "artifact.behaviour could not be asked, there is no room for its work" in told
    assert "No space left on device" in told
    assert "Traceback" not in told
    wait_until_none_of(home)
    assert [*scratch.folder.iterdir()] == [], "what the step took is given back"
    kept = claims(home, "measurements")
    assert (len(kept), claims(home, "runs")) == (1, [])

    again = fresh_house("onboard", bundle, *BATTERY)
    assert again.code == REVIEW, again.err
    assert "artifact.scan (known)" in again.err
    assert len(claims(home, "runs")) == 1
