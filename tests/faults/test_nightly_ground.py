"""What a night stands on fails while it works: its database is killed, its disk fills up."""

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_disk_full import MIB, Disk, disk
from tests.faults.test_nightly_kill import sealed_runs, wait_until
from tests.faults.test_onboarding_kill import claims
from tests.services.installed import Proofhouse
from tests.services.nights import ask_more, move_in, waits_long
from tests.services.postgres import Postgres, running_postgres

__all__ = ["disk"]  # a fixture, found by its name here

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ASSETS = 2


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A server that may be killed: nobody else uses it."""
    with running_postgres() as server:
        yield server


def verify_all(house: Proofhouse) -> Any:
    verified = house("verify", "--all", "--json")
    assert verified.code == 0, verified.out
    return verified.document


def test_a_night_without_its_database_says_so_and_the_next_catches_up(
    night_house: Proofhouse, own_postgres: Postgres
) -> None:
    night_house.environment["PROOFHOUSE_DATABASE"] = own_postgres.new_database()
    move_in(night_house, ASSETS)
    ask_more(night_house)
    home = night_house.home
    night = night_house.start("nightly", "--json")
    wait_until(lambda: sealed_runs(home) > ASSETS, "a first asset of the night")
    own_postgres.server.stop(signal.SIGQUIT)
    assert night.wait(timeout=600) != 0, "no night is well whose runs nobody can list"
    assert len(claims(home, "nights")) == 1, "it is signed, with what failed"

    own_postgres.restart()
    done = night_house("nightly", "--json")
    assert done.code == 0, done.err
    assert (done.document["reassessed"], done.document["failed"]) == (ASSETS, 0)
    assert all(row["before"] and row["reasons"] for row in done.document["changed"])
    assert len(verify_all(night_house)["runs"]) == sealed_runs(home) == 2 * ASSETS


@waits_long
def test_a_night_on_a_full_disk_seals_nothing_by_halves_and_is_resumed(
    night_house: Proofhouse, disk: Disk, tmp_path: Path
) -> None:
    disk.resize(64 * MIB)
    home = disk.folder / "home"
    home.mkdir()
    house = Proofhouse(home, {**night_house.environment, "PROOFHOUSE_HOME": str(home)})
    move_in(house, ASSETS)
    ask_more(house)
    log = tmp_path / "log"
    night = house.start("nightly", "--json", log=log)
    while night.poll() is None and sealed_runs(home) == ASSETS:
        time.sleep(0.02)
    while night.poll() is None:
        disk.fill()
        time.sleep(0.005)
    told = log.read_text()
    assert night.returncode == 2, told
    assert re.search("No space left on device|disk is full", told), told
    assert claims(home, "nights") == [], "no partial night reads as complete"

    disk.ballast.unlink()
    done = house("nightly", "--json")
    assert done.code == 0, done.err
    assert (done.document["reassessed"], done.document["failed"]) == (ASSETS, 0)
    verified = verify_all(house)
    assert (len(verified["runs"]), verified["ledger_size"]) == (2 * ASSETS, 2 * ASSETS + 1)
