"""Times the main job as a user meets it: whole commands, their memory, and what orchestration adds.

``make bench-onboarding`` writes ``results/onboarding.json``. Overhead is the flow's wall time
(start to seal) over the time its checks would need if they filled every worker without a gap.
"""

import importlib.metadata
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tasks.demo.bundles import build_honest
from tasks.domain.run import RunRecord
from tasks.ledger.seal import sealed_run
from tasks.serving import local_server
from tasks.settings import read_settings
from tasks.store.opening import open_store

ROUNDS = 3
RESULTS = Path(__file__).with_name("results") / "onboarding.json"


class Timed(NamedTuple):
    """One command from outside: wall seconds, and the most memory its process tree held."""

    seconds: float
    peak_mib: float
    out: str


def timed(*words: str | Path, home: Path, url: str | None) -> Timed:
    """Runs ``proofhouse`` and watches it."""
    environment = {**os.environ, "PROOFHOUSE_HOME": str(home)}
    environment |= {"PREFECT_API_URL": url} if url else {}
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "tasks.cli", *map(str, words)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with watched(process.pid) as peak:
        out, _ = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{words} ended with {process.returncode}: {out[-500:]}")
    return Timed(time.monotonic() - started, max(peak, default=0) / 2**20, out)


@contextmanager
def watched(pid: int) -> Iterator[list[int]]:
    """Samples the proportional set size of a process tree, in bytes, while the block runs."""
    sizes: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            sizes.append(tree_bytes(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield sizes
    finally:
        done.set()
        watcher.join()


def tree_bytes(pid: int) -> int:
    """Returns the proportional set size of a process and all below it."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for member in [root, *root.children(recursive=True)]:
            with suppress(psutil.Error):  # it ended while we looked
                total += member.memory_full_info().pss
    return total


def row(work: str, runs: list[Timed], quality: dict[str, Any] | None = None) -> dict[str, Any]:
    """Puts several timings of the same work into one row."""
    seconds = [run.seconds for run in runs]
    return {
        "work": work,
        "tool": "proofhouse",
        "version": importlib.metadata.version("proofhouse"),
        "n": len(runs),
        "seconds": {
            "median": round(statistics.median(seconds), 2),
            "min": round(min(seconds), 2),
            "max": round(max(seconds), 2),
        },
        "peak_mib": round(max(run.peak_mib for run in runs)),
        "quality": quality or {},
    }


def sealed(home: Path, run: str) -> RunRecord:
    """Reads the sealed record of a run."""
    found = sealed_run(open_store(str(home / "store"), home=home), run)
    if found is None:
        raise RuntimeError(f"{run} was not sealed")
    return found[0]


def overhead(record: RunRecord) -> dict[str, float]:
    """Returns flow seconds, check seconds and the overhead over a gapless use of the workers."""
    flow = datetime.fromisoformat(record.sealed) - datetime.fromisoformat(record.started)
    checks = sum(execution.seconds for execution in record.executions)
    ideal = checks / read_settings().compute.worker_count
    return {
        "flow_seconds": flow.total_seconds(),
        "check_seconds": round(checks, 1),
        "orchestration_overhead": round(flow.total_seconds() / ideal - 1, 3),
    }


def main() -> None:
    """Writes one row per kind of work."""
    with tempfile.TemporaryDirectory() as folder, local_server(Path(folder), ui=False) as url:
        scratch = Path(folder)
        bundle = scratch / "acme-vision"
        key = build_honest(bundle, scratch / "keys")
        first, again, alone, overheads = [], [], [], []
        for number in range(ROUNDS):
            home = scratch / f"home-{number}"
            (home / "vendors").mkdir(parents=True)
            shutil.copyfile(key, home / "vendors" / "acme-vision.pub")
            words = ("onboard", bundle, "--json")
            first.append(timed(*words, home=home, url=None))
            overheads.append(overhead(sealed(home, json.loads(first[-1].out)["run"])))
            again.append(timed(*words, home=home, url=url))
            alone.append(timed(*words, home=home, url=None))
        helps = [timed("--help", home=scratch, url=None) for _ in range(2 * ROUNDS + 1)]
    middle = sorted(overheads, key=lambda each: each["orchestration_overhead"])[ROUNDS // 2]
    rows = [
        row("onboard the honest bundle, starting a server", first, middle),
        row("onboard it again, against a running server", again),
        row("onboard it again, starting a server", alone),
        row("proofhouse --help", helps),
    ]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
