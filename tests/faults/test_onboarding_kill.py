"""Real processes killed while a bundle is onboarded: nothing is lost, doubled or left behind."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.services.asked import only_when_asked
from tests.services.installed import Bundles, Proofhouse, Ran
from tests.services.living import processes_of

FAST = ("--battery", "test.fast", "--json")
PATIENCE_SECONDS = 120
REVIEW = 3
"""The fast battery leaves out checks that the policy requires, so a person has to look."""
ALL_PASS = {
    "artifact.scan": "pass",
    "artifact.behaviour": "pass",
    "provenance.manifest": "pass",
    "evasion.linf_robust_accuracy": "pass",
}


def outcomes(ran: Ran) -> dict[str, str]:
    assert ran.code == REVIEW, ran.err
    return {finding["check"]: finding["outcome"] for finding in ran.document["findings"]}


def children_of(pid: int) -> list[int]:
    listing = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(line) for line in listing.stdout.split()]


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s for {what}"
        time.sleep(0.05)


def claims(home: Path, kind: str) -> list[Path]:
    folder = home / "store" / "claims" / kind
    return sorted(file for file in folder.rglob("*") if file.is_file()) if folder.exists() else []


def workers(flow: int) -> list[int]:
    """Dask worker processes: spawned below the flow's process."""
    return [
        pid
        for pid in processes_of_tree(flow)
        if "multiprocessing" in command_line(pid) and "spawn_main" in command_line(pid)
    ]


def sandboxes(flow: int) -> list[int]:
    return [pid for pid in processes_of_tree(flow) if "launcher.py" in command_line(pid)]


def processes_of_tree(pid: int) -> list[int]:
    below = children_of(pid)
    return [*below, *(deeper for child in below for deeper in processes_of_tree(child))]


@pytest.mark.slow
def test_a_killed_flow_leaves_no_process_and_resumes(
    proofhouse: Proofhouse, bundles: Bundles
) -> None:
    flow = proofhouse.start("onboard", bundles.honest, *FAST)
    wait_until(lambda: bool(claims(proofhouse.home, "measurements")), "a first measurement")
    flow.kill()
    flow.wait()
    wait_until(lambda: processes_of(proofhouse.home) == [], "the workers and children to end")
    known = claims(proofhouse.home, "measurements")

    resumed = proofhouse("onboard", bundles.honest, *FAST)
    assert outcomes(resumed) == ALL_PASS, resumed.err
    assert set(known) <= set(claims(proofhouse.home, "measurements"))
    assert len(claims(proofhouse.home, "ledger/entries")) == 1
    assert len(claims(proofhouse.home, "runs")) == 1
    assert proofhouse("verify", "--all").code == 0


@pytest.mark.slow
def test_a_killed_dask_worker_costs_no_verdict(proofhouse: Proofhouse, bundles: Bundles) -> None:
    flow = proofhouse.start("onboard", bundles.honest, *FAST)
    wait_until(lambda: bool(sandboxes(flow.pid) and workers(flow.pid)), "a check at work")
    os.kill(workers(flow.pid)[0], signal.SIGKILL)
    assert flow.wait(timeout=PATIENCE_SECONDS) == REVIEW
    assert len(claims(proofhouse.home, "ledger/entries")) == 1
    assert outcomes(proofhouse("onboard", bundles.honest, *FAST)) == ALL_PASS
    assert len(claims(proofhouse.home, "runs")) == 1, "the first run was whole"
    assert proofhouse("verify", "--all").code == 0
    assert processes_of(proofhouse.home) == []


@only_when_asked("takes a minute; a model that kills its own process ends alike")
@pytest.mark.slow
def test_a_killed_sandbox_child_is_a_finding_and_the_next_attempt_succeeds(
    proofhouse: Proofhouse, bundles: Bundles
) -> None:
    flow = proofhouse.start("onboard", bundles.honest, *FAST)
    wait_until(
        # Three of the battery's four are measured: the child is the last one's, no gatekeeper's.
        lambda: len(claims(proofhouse.home, "measurements")) >= 3 and bool(sandboxes(flow.pid)),
        "a check after the gatekeepers",
    )
    for pid in sandboxes(flow.pid):
        os.kill(pid, signal.SIGKILL)
    assert flow.wait(timeout=PATIENCE_SECONDS) == REVIEW
    again = proofhouse("onboard", bundles.honest, *FAST)
    assert outcomes(again) == ALL_PASS, again.err
    assert len(claims(proofhouse.home, "runs")) == 2
    assert proofhouse("verify", "--all").code == 0
    assert processes_of(proofhouse.home) == []
