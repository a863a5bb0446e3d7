"""The orchestrator's database is locked, or may not be written: asked again, told, nothing lost.

Row 7 of the fault scorecard: the SQLite file of a real server, its lock held by another process.
"""

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from tasks import serving
from tasks.serving import local_server, server_environment
from tests.e2e import hostile_bundles as hostile
from tests.faults.test_onboarding_kill import claims, wait_until
from tests.services.asked import only_when_asked
from tests.services.installed import Proofhouse
from tests.services.living import wait_until_none_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
BAD_INPUT, REVIEW = 2, 3
BATTERY = ("--battery", "test.first", "--json")
HURRIED = {"PREFECT_API_REQUEST_TIMEOUT": "2"}
"""A call waits a minute by default. How often it is repeated stays as it is, where not said."""
LOCK = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
held.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    """Holds the lock of writers in another process."""
    with subprocess.Popen(
        [sys.executable, "-c", LOCK, str(database)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as holder:  # fmt: skip
        assert holder.stdin
        assert holder.stdout
        try:
            assert holder.stdout.readline() == "locked\n"
            yield
        finally:
            holder.stdin.close()


@pytest.fixture
def house(fresh_house: Proofhouse) -> Proofhouse:
    return Proofhouse(fresh_house.home, fresh_house.environment | HURRIED)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return hostile.write_bundle(tmp_path / "bundle", "model.pt", hostile.fine)


@contextlib.contextmanager
def onboarding(house: Proofhouse, bundle: Path, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    flow = house.start("onboard", bundle, *BATTERY, log=log)
    try:
        yield flow
    finally:
        flow.kill()
        flow.wait()


def told_plainly(log: Path) -> None:
    told = log.read_text()
    assert "server.unavailable: The Prefect server at http" in told
    assert "Its database may be locked, read-only" in told
    assert "Traceback" not in told


def test_a_locked_database_is_waited_for_or_told_and_nothing_is_lost(
    house: Proofhouse, bundle: Path, server_home: Path, tmp_path: Path
) -> None:
    home, never, later = house.home, tmp_path / "never", tmp_path / "later"
    impatient = Proofhouse(home, house.environment | {"PREFECT_CLIENT_MAX_RETRIES": "0"})
    with contextlib.ExitStack() as lock, onboarding(impatient, bundle, never) as hasty:
        wait_until(lambda: bool(claims(home, "measurements")), "a first measurement")
        lock.enter_context(locked(server_home / "prefect" / "prefect.db"))
        assert hasty.wait(timeout=200) == BAD_INPUT, never.read_text()
        told_plainly(never)
        wait_until_none_of(home)
        kept, sealed = claims(home, "measurements"), claims(home, "runs")

        with onboarding(house, bundle, later) as flow:
            wait_until(lambda: "onboarding bundle" in later.read_text(), "the next command")
            time.sleep(6)  # its imports, and tries in vain
            assert flow.poll() is None
            lock.close()
            assert flow.wait(timeout=200) == REVIEW, later.read_text()
    assert kept
    assert set(kept) <= set(claims(home, "measurements"))
    # A run that was sealed before the server was missed is whole: nothing is asked again for it.
    assert sealed or later.read_text().count("(known)") >= len(kept)
    assert len(claims(home, "runs")) == 1
    verified = house("verify", "--all", "--json")
    assert verified.code == 0, verified.out
    assert len(verified.document["runs"]) == len(claims(home, "runs"))


@only_when_asked("takes half a minute; a lock that is never released is told by the same words")
def test_a_database_that_may_not_be_written_is_told(
    house: Proofhouse, bundle: Path, server_home: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "server" / "prefect"
    folder.mkdir(parents=True)
    shutil.copyfile(server_home / "prefect" / "prefect.db", folder / "prefect.db")

    def read_only(home: Path, port: int, *, ui: bool) -> dict[str, str]:
        place = f"sqlite+aiosqlite:///file:{folder / 'prefect.db'}?mode=ro&uri=true"
        return server_environment(home, port, ui=ui) | {
            "PREFECT_API_DATABASE_CONNECTION_URL": place,
            "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
        }

    log = tmp_path / "log"
    with (
        mock.patch.object(serving, "server_environment", read_only),
        local_server(tmp_path / "server", ui=False) as url,
    ):
        house.environment["PREFECT_API_URL"] = url
        with onboarding(house, bundle, log) as flow:
            assert flow.wait(timeout=200) == BAD_INPUT, log.read_text()
    told_plainly(log)
    assert claims(house.home, "runs") == []
