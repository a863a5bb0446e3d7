"""Scans one hostile and one honest corpus with Proofhouse and its peers, in one run.

``python -m tests.benchmarks.bench_scan`` writes ``results/scan.json``. Nothing is loaded: every
tool is asked for its static answer, each file gets at most ``MOST_SECONDS``. A file counts as
flagged when the tool reports a finding, as failed when it raises or runs out of time, and as silent
when it says nothing; on honest files flagged means a false alarm.
"""

import importlib
import importlib.metadata
import importlib.util
import json
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from tasks.scanners.scan import scan_file
from tests.tasks.scanners.benign import benign
from tests.tasks.scanners.corpus import hostile

MOST_SECONDS = 10
RESULTS = Path(__file__).with_name("results") / "scan.json"
Answer = Literal["flagged", "failed", "silent"]


class OutOfTimeError(Exception):
    """A tool needed more than its share for one file."""


def ask_proofhouse(path: Path) -> Answer:
    """Undecided is not silent, but no flag either: it counts as failed."""
    answers: dict[str, Answer] = {"fail": "flagged", "undecided": "failed", "pass": "silent"}
    return answers[scan_file(path).outcome]


def ask_picklescan(path: Path) -> Answer:
    result = importlib.import_module("picklescan.scanner").scan_file_path(str(path))
    if result.infected_files or result.issues_count:
        return "flagged"
    return "failed" if result.scan_err else "silent"


def ask_modelscan(path: Path) -> Answer:
    scanner = importlib.import_module("modelscan.modelscan").ModelScan()
    result: dict[str, Any] = scanner.scan(path)
    if result["issues"]:
        return "flagged"
    return "failed" if result["errors"] else "silent"


def ask_fickling(path: Path) -> Answer:
    safe = importlib.import_module("fickling").is_likely_safe(str(path))
    return "silent" if safe else "flagged"


TOOLS: dict[str, tuple[str, Callable[[Path], Answer]]] = {
    "proofhouse": ("proofhouse", ask_proofhouse),
    "picklescan": ("picklescan", ask_picklescan),
    "modelscan": ("modelscan", ask_modelscan),
    "fickling": ("fickling", ask_fickling),
}


def answer_in_time(ask: Callable[[Path], Answer], path: Path) -> Answer:
    """Returns the tool's answer; whatever it raises is a failure of the tool."""

    def late(_signal: int, _frame: object) -> None:
        raise OutOfTimeError

    signal.signal(signal.SIGALRM, late)
    signal.alarm(MOST_SECONDS)
    try:
        return ask(path)
    except Exception:  # noqa: BLE001 - peers raise all sorts on hostile bytes
        return "failed"
    finally:
        signal.alarm(0)


def row(work: str, tool: str, files: Iterable[tuple[str, bytes]], folder: Path) -> dict[str, Any]:
    """Asks one tool about all files under their own names."""
    package, ask = TOOLS[tool]
    if importlib.util.find_spec(package) is None and tool != "proofhouse":
        return {"work": work, "tool": tool, "skipped": "not installed"}
    counts: Counter[str] = Counter()
    seconds = []
    for name, data in files:
        path = folder / Path(name).name
        path.write_bytes(data)
        started = time.perf_counter()
        counts[answer_in_time(ask, path)] += 1
        seconds.append(time.perf_counter() - started)
        path.unlink()
    return {
        "work": work,
        "tool": tool,
        "version": importlib.metadata.version(package),
        "n": counts.total(),
        "seconds": {
            "median": round(sorted(seconds)[len(seconds) // 2], 5),
            "min": round(min(seconds), 5),
            "max": round(max(seconds), 3),
        },
        "quality": {answer: counts[answer] for answer in ("flagged", "failed", "silent")},
    }


def main() -> None:
    """Writes one row per corpus and tool."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        corpora = {"hostile": list(hostile()), "honest": list(benign(folder))}
        rows = [
            row(f"scan {work} files", tool, files, folder)
            for work, files in corpora.items()
            for tool in TOOLS
        ]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
