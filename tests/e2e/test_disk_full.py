"""The home's disk fills up: a clear message, nothing sealed by halves, and the next run resumes."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import hostile_bundles as hostile
from tests.services.asked import only_when_asked
from tests.services.installed import Bundles, Proofhouse, Ran, installed
from tests.services.living import wait_until_none_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
REVIEW = 3
MIB = 1 << 20
BATTERY = ("--battery", "test.first", "--json")


class Disk:
    """A file system in memory of a size that can be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ballast = folder / "ballast"

    def mount(self, size: int, *, inodes: int = 0) -> None:
        folder, told = str(self.folder), f"size={size},nr_inodes={inodes},mode=700"  # 0: any number
        line = ["mount", "-t", "tmpfs", "-o", told, "proofhouse-test", folder]
        try:
            done = subprocess.run(line, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("there is no mount command here")
        if done.returncode:
            pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")

    def resize(self, size: int) -> None:
        line = ["mount", "-o", f"remount,size={size}", str(self.folder)]
        subprocess.run(line, check=True)

    def fill(self) -> None:
        """Takes every byte that is left; to be called again when others give some back."""
        with self.ballast.open("ab") as stream, contextlib.suppress(OSError):
            facts = os.fstatvfs(stream.fileno())
            if facts.f_bavail:
                room = facts.f_bavail * facts.f_frsize
                os.posix_fallocate(stream.fileno(), stream.tell(), room)

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    disk = Disk(folder)
    disk.mount(64 * MIB)
    yield disk
    disk.unmount()


@pytest.fixture
def home(disk: Disk, server: str, catalogs: Path, bundles: Bundles) -> Proofhouse:
    return installed(disk.folder / "home", server, catalogs, bundles)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = hostile.write_bundle(tmp_path / "bundle", "model.pt", hostile.fine)
    (folder / "notes.bin").write_bytes(os.urandom(3 * MIB))
    return folder


def stopped_clearly(code: int, err: str, home: Proofhouse) -> None:
    assert code == 2, err
    assert "No space left on device" in err or "disk is full" in err
    assert "Traceback" not in err
    wait_until_none_of(home.home)
    assert list((home.home / "scratch").iterdir()) == []
    assert home("verify", "--all", "--json").document["runs"] == []


def resumed(home: Proofhouse, bundle: Path) -> Ran:
    ran = home("onboard", bundle, *BATTERY, timeout=600)
    assert ran.code == REVIEW, ran.err  # the small battery leaves out what the policy requires
    verified = home("verify", "--all", "--json")
    assert verified.code == 0
    assert [run["run"] for run in verified.document["runs"]] == [ran.document["run"]]
    return ran


@only_when_asked("takes a minute; one that fills up later is the harder case")
def test_a_disk_too_small_for_the_bundle(disk: Disk, home: Proofhouse, bundle: Path) -> None:
    disk.resize(5 * MIB)  # the copy in quarantine fits, the one in the store does not
    ran = home("onboard", bundle, *BATTERY, timeout=600)
    stopped_clearly(ran.code, ran.err, home)
    assert ran.document["error"]["code"].startswith(("store.", "system."))
    disk.resize(64 * MIB)
    resumed(home, bundle)


def test_a_disk_that_fills_up_between_two_checks(
    disk: Disk, home: Proofhouse, bundle: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    flow = home.start("onboard", bundle, *BATTERY, log=log)
    measured = home.home / "store" / "claims" / "measurements"
    while flow.poll() is None and not (measured.exists() and any(measured.rglob("*"))):
        time.sleep(0.02)
    while flow.poll() is None:
        disk.fill()
        time.sleep(0.005)
    stopped_clearly(flow.returncode, log.read_text(), home)
    disk.ballast.unlink()
    resumed(home, bundle)
