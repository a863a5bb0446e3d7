"""200 models wait for two workers, one of which is killed: none is lost, doubled or starved.

Row 31 of the fault scorecard. Real processes, a real folder of drops, the real store: listing,
copying, content addresses, leases and their ends are what is tested. What a verdict costs is not,
so onboarding itself is stubbed by a line in a file; 200 real ones would take an hour.
"""

import contextlib
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.test_onboarding_kill import claims
from tests.tasks.intake.bundles import make_bundle

MODELS, WORKERS = 200, 2
DIES_AT = "model-060"
GROWTH_MIB = 24
"""A model's bytes are copied in pieces; a worker that kept what it saw would grow by more."""


class Queue:
    """A folder full of drops, and workers that make passes over it."""

    def __init__(self, folder: Path) -> None:
        self.place, self.home = folder / "intake", folder / "home"
        self.home.mkdir()
        for number in range(MODELS):
            bundle = make_bundle(self.place / f"model-{number:03d}")
            (bundle / "weights.bin").write_bytes(number.to_bytes(4) * (1 << 16))
            (self.place / f"{bundle.name}.ready").touch()

    @contextlib.contextmanager
    def worker(self, name: str, *more: str) -> Iterator["subprocess.Popen[bytes]"]:
        words = ["tests.tasks.drop_worker", self.place, self.home / "store", self.home, 1, *more]
        with (self.home / name).open("wb") as said:
            process = subprocess.Popen([sys.executable, "-m", *map(str, words)], stdout=said)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def said(self, worker: str) -> Counter[str]:
        """How often a worker said what of a drop."""
        return Counter(line.split()[0] for line in (self.home / worker).read_text().splitlines())

    def begun(self) -> list[str]:
        """The models whose onboarding began, in that order."""
        log = self.home / "runs.log"
        return log.read_text().split() if log.exists() else []

    def in_work(self) -> int:
        scratch = self.home / "scratch"
        return len(list(scratch.iterdir())) if scratch.exists() else 0


def resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


@pytest.mark.slow
def test_two_hundred_models_on_two_workers_of_which_one_dies(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    early, late, at_once = 0.0, 0.0, 0
    with queue.worker("dies", DIES_AT) as dies, queue.worker("lives") as lives:
        while lives.poll() is None:
            done = len(queue.begun())
            if 10 < done < MODELS // 3:
                early = max(early, resident_mib(lives.pid))
            elif done > MODELS // 2:
                late = max(late, resident_mib(lives.pid))
            at_once = max(at_once, queue.in_work())
            time.sleep(0.02)
        assert dies.wait(timeout=60) == -signal.SIGKILL
    assert late <= early + GROWTH_MIB
    assert at_once <= 3, "one for each worker, and what the dead one left"
    with queue.worker("later") as later:
        assert later.wait(timeout=100) == 0

    begun = queue.begun()
    [(orphan, tries), (_, others)] = Counter(begun).most_common(2)
    assert (tries, others, len(set(begun))) == (2, 1, MODELS), "only what died is begun again"
    assert orphan >= DIES_AT
    ends = [claim for claim in claims(queue.home, "drops") if claim.name.startswith("done")]
    assert len(ends) == MODELS
    said = queue.said("later")  # the other worker may have come by after the death
    assert said["known"] + said["onboarded"] == MODELS
    assert said["onboarded"] <= 1

    turns = {model: turn for turn, model in enumerate(begun) if model != orphan}
    late_by = max(turn - int(model.removeprefix("model-")) for model, turn in turns.items())
    assert late_by <= 2 * WORKERS, "nobody is overtaken by more than those who work beside it"
    assert queue.said("dies")["onboarded"] > MODELS // 20, "both had their share"
