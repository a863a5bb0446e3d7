"""Real processes killed in the middle of a night: nothing is lost, and no part reads as a whole."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.serving import local_server
from tasks.store.opening import open_store
from tests.faults.test_onboarding_kill import claims, workers
from tests.services.asked import only_when_asked
from tests.services.ceph import Ceph
from tests.services.installed import Proofhouse
from tests.services.living import processes_of
from tests.services.nights import ask_more, move_in, waits_long
from tests.services.processes import wait_until as wait

ASSETS = 3
PATIENCE_SECONDS = 400


def wait_until(ready: Callable[[], bool], what: str) -> None:
    wait(ready, what=what, seconds=PATIENCE_SECONDS)


def sealed_runs(home: Path) -> int:
    return len(claims(home, "runs"))


def whole(proofhouse: Proofhouse, nights: int = 1) -> None:
    """A night after a fault: every asset was measured again, once, and all of it verifies."""
    done = proofhouse("nightly", "--json")
    assert done.code == 0, done.err
    assert done.document["reassessed"] == ASSETS, done.document
    assert all(row["before"] and row["reasons"] for row in done.document["changed"])
    verified = proofhouse("verify", "--all", "--json")
    assert verified.code == 0, verified.out
    assert len(verified.document["runs"]) == 2 * ASSETS
    assert verified.document["ledger_size"] == 2 * ASSETS + nights


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_night_is_not_signed_and_is_resumed(night_house: Proofhouse) -> None:
    move_in(night_house, ASSETS)
    ask_more(night_house)
    night = night_house.start("nightly", "--json")
    home = night_house.home
    wait_until(lambda: sealed_runs(home) > ASSETS, "a first asset of the night")
    if workers(night.pid):
        os.kill(workers(night.pid)[0], signal.SIGKILL)  # its work is done elsewhere, or later
    night.kill()
    night.wait()
    wait_until(lambda: processes_of(home) == [], "workers and children to end")
    assert claims(home, "nights") == [], "no partial night reads as complete"
    assert len(claims(home, "night-starts")) == 1
    whole(night_house)
    assert len(claims(home, "night-starts")) == 1, "the same night went on"


@only_when_asked("takes a minute; an onboarding loses a worker in the same way")
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_night_whose_worker_is_killed_is_whole(night_house: Proofhouse) -> None:
    move_in(night_house, ASSETS)
    ask_more(night_house)
    night = night_house.start("nightly", "--json")
    home = night_house.home
    wait_until(lambda: sealed_runs(home) > ASSETS and bool(workers(night.pid)), "a busy night")
    os.kill(workers(night.pid)[0], signal.SIGKILL)
    assert night.wait(timeout=600) == 0
    assert sealed_runs(home) == 2 * ASSETS
    assert len(claims(home, "nights")) == 1
    assert night_house("verify", "--all").code == 0
    assert processes_of(home) == []


@waits_long
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_night_whose_server_is_killed_loses_nothing(
    night_house: Proofhouse, tmp_path: Path
) -> None:
    move_in(night_house, ASSETS)
    ask_more(night_house)
    home, server = night_house.home, night_house.environment["PREFECT_API_URL"]
    # Ours alone, and no minutes of waiting for what will not come back.
    night_house.environment["PREFECT_CLIENT_MAX_RETRIES"] = "0"
    with local_server(tmp_path / "server", ui=False) as url:
        night_house.environment["PREFECT_API_URL"] = url
        night = night_house.start("nightly", "--json")
        wait_until(lambda: sealed_runs(home) > ASSETS, "a first asset of the night")
    code = night.wait(timeout=600)
    kept = sealed_runs(home)
    signed = len(claims(home, "nights"))
    assert code != 0 or (signed, kept) == (1, 2 * ASSETS), "who says it is done has done it"
    night_house.environment["PREFECT_API_URL"] = server
    if not signed:
        whole(night_house)
    assert night_house("verify", "--all").code == 0
    assert sealed_runs(home) == 2 * ASSETS >= kept


@pytest.mark.s3
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_night_waits_for_a_gateway_that_was_killed(
    night_house: Proofhouse, s3_environment: Ceph
) -> None:
    ceph = s3_environment
    place = f"s3://{ceph.new_bucket(lock=False)}/evidence"
    night_house.environment |= ceph.environment | {"PROOFHOUSE_STORE": place}
    move_in(night_house, ASSETS)
    ask_more(night_house)

    store = open_store(place, home=night_house.home)

    def sealed() -> int:
        return len(list(store.claims("runs/")))

    assert sealed() == ASSETS
    night = night_house.start("nightly", "--json")
    wait_until(lambda: sealed() > ASSETS, "a first asset of the night")
    ceph.gateway.kill()
    wait_until(lambda: not ceph.gateway.running, "the gateway to be gone")
    ceph.gateway.restart()
    ceph.wait()
    assert night.wait(timeout=600) == 0
    assert sealed() == 2 * ASSETS
    verified = night_house("verify", "--all", "--json")
    assert verified.code == 0, verified.out
    assert verified.document["ledger_size"] == 2 * ASSETS + 1
