"""How long a night over unchanged assets takes: the installed command, real server, real workers.

Every asset has a sealed onboarding run of the whole standard battery (22 checks), with signature,
log entry and inventory rows, as onboarding leaves them; only the measuring was not done a thousand
times. The night verifies each asset's signed evidence, plans it anew and compares.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from tasks import approving, onboarding
from tasks.ledger.keys import make_key
from tasks.runtime import Services
from tasks.sandbox.opening import open_sandbox
from tasks.sandbox.protocol import Level, Limits
from tasks.serving import local_server
from tasks.settings import Settings
from tasks.store.local import LocalStore
from tests.benchmarks.tables import write_section
from tests.tasks.nightly.nights import House

RESULTS = Path(__file__).parent / "results" / "nightly.json"
ROUNDS = 3


def build(home: Path, assets: int) -> None:
    """Onboards ``assets`` versions into a home; goes on where an earlier call stopped."""
    home.mkdir(parents=True, exist_ok=True)
    make_key(home)
    settings = Settings(home=home)
    sandbox = open_sandbox(required=Level(settings.sandbox.required))
    here = Services(settings, LocalStore(home / "store"), sandbox, Limits())
    with (
        mock.patch.object(approving, "services", return_value=here),
        mock.patch.object(onboarding, "services", return_value=here),
    ):
        house = House(here)
        known = {asset.version for asset in house.inventory.assets()}
        for number in range(assets):
            version = f"1.0.{number}"
            if version not in known:
                house.onboard(version)


class Timed(NamedTuple):
    """One night: wall seconds, CPU seconds of the command and its workers, and its document."""

    seconds: float
    cpu_seconds: float
    document: dict[str, Any]


def night(home: Path, url: str) -> Timed:
    """Runs the command once."""
    environment = {**os.environ, "PROOFHOUSE_HOME": str(home), "PREFECT_API_URL": url}
    began, spent = time.monotonic(), _children()
    done = subprocess.run(
        [sys.executable, "-m", "tasks.cli", "nightly", "--json"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = time.monotonic() - began
    if done.returncode:
        raise RuntimeError(f"the night ended with {done.returncode}: {done.stderr[-2000:]}")
    return Timed(seconds, _children() - spent, json.loads(done.stdout))


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(home: Path, assets: int) -> dict[str, Any]:
    """Runs several nights; every asset must be unchanged in each."""
    told: list[Timed] = []
    with local_server(home.parent / f"{home.name}-server", ui=False) as url:
        for _ in range(ROUNDS):
            one = night(home, url)
            if (one.document["unchanged"], one.document["failed"]) != (assets, 0):
                raise RuntimeError(f"not every asset was unchanged: {str(one.document)[:2000]}")
            told.append(one)
    seconds = [one.seconds for one in told]
    return {
        "work": f"a night over {assets} unchanged assets",
        "tool": "proofhouse",
        "version": "0.1.0",
        "n": assets,
        "seconds": {
            "median": round(statistics.median(seconds), 1),
            "min": round(min(seconds), 1),
            "max": round(max(seconds), 1),
        },
        "passes": 0,
        "quality": {
            "unchanged": assets,
            "measured": 0,
            "cpu_seconds": round(statistics.median(one.cpu_seconds for one in told), 1),
            "cores": os.cpu_count(),
        },
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Returns the section in Markdown."""
    told = "The whole command, start of interpreter and workers included; the evidence of every"
    lines = [
        "## Nights (`make bench-nightly`)",
        "",
        f"{told} asset is verified.",
        "",
        "| work | rounds | median s | fastest s | slowest s | CPU s | measured anew |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_line, rows)])


def _line(row: dict[str, Any]) -> str:
    seconds = " | ".join(str(row["seconds"][key]) for key in ("median", "min", "max"))
    quality = row["quality"]
    told = f"{seconds} | {quality['cpu_seconds']} | {quality['measured']}"
    return f"| {row['work']} | {ROUNDS} | {told} |"


def main() -> None:
    """Builds, measures, writes results and section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=1000)
    parser.add_argument("--home", type=Path, help="A home to reuse, or to build first.")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = (told.home or Path(folder) / "home").resolve()
        build(home, told.assets)
        rows = [measure(home, told.assets)]
    RESULTS.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    write_section("nightly", table(rows))
    sys.stdout.write(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
