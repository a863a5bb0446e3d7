"""Scans hostile, honest and large files with Proofhouse and its peers, in one run.

``make bench-scan`` writes ``results/scan.json`` and the table in ``README.md``. Nothing is loaded:
every tool gives its static answer in a process of its own, with at most ``MOST_SECONDS`` for
a file. A file counts as flagged when the tool reports a finding, as failed when it raises, skips
the file or runs out of time, and as silent when it says nothing; on honest files flagged means a
false alarm. Large files are timed beside SHA-256 of the same file, by turns, because the time of a
shared machine only means something beside another one.
"""

import argparse
import hashlib
import importlib.metadata
import importlib.util
import json
import pickle
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tasks.scanners import second_opinion
from tasks.scanners.scan import scan_file

MOST_SECONDS = 20
ROUNDS = 3
LARGE_MIB = 500
RESULTS = Path(__file__).with_name("results") / "scan.json"
TOOLS = ("proofhouse", *second_opinion.SCANNERS)


class OutOfTimeError(Exception):
    """A tool needed more than its share for one file."""


def ask(tool: str, path: Path) -> str:
    """Undecided is not silent, but no flag either: it counts as failed."""
    if tool == "proofhouse":
        answers = {"fail": "flagged", "undecided": "failed", "pass": "silent"}
        return answers[scan_file(path).outcome]
    reply = second_opinion.ask_scanner(scanner=tool, path=str(path))
    return second_opinion.opinion_of(reply, tool).answer


def digest(path: Path) -> str:
    """SHA-256 as fast as Python reads: one buffer, one thread."""
    hashed, buffer = hashlib.sha256(), memoryview(bytearray(1 << 20))
    with path.open("rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            hashed.update(buffer[:count])
    return hashed.hexdigest()


def peak_mib() -> int:
    """Most resident memory since this process began; ``getrusage`` counts its parent's too."""
    with Path("/proc/self/status").open(encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) >> 10


def in_time(work: Callable[[], str]) -> tuple[str, float]:
    """Returns the answer and its seconds; whatever a tool raises is a failure of the tool."""

    def late(_signal: int, _frame: object) -> None:
        raise OutOfTimeError

    signal.signal(signal.SIGALRM, late)
    signal.alarm(MOST_SECONDS)
    started = time.perf_counter()
    try:
        answer = work()
    except Exception:  # noqa: BLE001 - peers raise all sorts on hostile bytes
        answer = "failed"
    finally:
        signal.alarm(0)
    return answer, time.perf_counter() - started


def child(tool: str, folder: Path, *, large: bool) -> dict[str, Any]:
    """What one process says about every file of a folder, and what that cost."""
    counts: Counter[str] = Counter()
    seconds, beside = [], []
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        for _ in range(ROUNDS if large else 1):
            if large:
                beside.append(in_time(lambda file=path: digest(file))[1])  # type: ignore[misc]
            answer, spent = in_time(lambda file=path: ask(tool, file))  # type: ignore[misc]
            seconds.append(spent)
        counts[answer] += 1
    quality: dict[str, Any] = {each: counts[each] for each in ("flagged", "failed", "silent")}
    if large:
        quality["speed_of_sha256"] = round(
            statistics.median(beside) / statistics.median(seconds), 2
        )
    return {
        "version": importlib.metadata.version(tool),
        "n": counts.total(),
        "seconds": {
            "median": round(statistics.median(seconds), 5),
            "min": round(min(seconds), 5),
            "max": round(max(seconds), 3),
        },
        "peak_mib": peak_mib(),
        "quality": quality,
    }


def row(work: str, tool: str, folder: Path, *, large: bool = False) -> dict[str, Any]:
    """Runs one tool over one folder in a process of its own."""
    if tool != "proofhouse" and importlib.util.find_spec(tool) is None:
        return {"work": work, "tool": tool, "skipped": "not installed"}
    command = [sys.executable, "-m", "tests.benchmarks.bench_scan", "--tool", tool]
    done = subprocess.run(
        [*command, "--folder", str(folder), *(["--large"] if large else [])],
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode:
        return {"work": work, "tool": tool, "skipped": f"it ended with {done.returncode}"}
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"work": work, "tool": tool, **answer}


def laid_out(files: Iterable[tuple[str, bytes]], folder: Path) -> Path:
    """Writes each file under its own last name, in a folder of its own."""
    for index, (name, data) in enumerate(files):
        place = folder / f"{index:04}"
        place.mkdir(parents=True)
        (place / Path(name).name).write_bytes(data)
    return folder


def large_files(folder: Path) -> dict[str, Path]:
    """Half a gigabyte of random weights, in the three ways they usually travel."""
    import numpy as np  # noqa: PLC0415 - the children that are measured need none of these
    import safetensors.numpy  # noqa: PLC0415
    import torch  # noqa: PLC0415

    rng = np.random.default_rng(0)
    count = LARGE_MIB << 18
    arrays = {f"layer{i}": rng.standard_normal(count // 10, dtype="f4") for i in range(10)}
    places = {}
    for name in ("torch zip", "safetensors", "pickle of arrays"):
        places[name] = folder / name.replace(" ", "_")
        places[name].mkdir()
    torch.save(
        {name: torch.from_numpy(array) for name, array in arrays.items()},
        places["torch zip"] / "model.pt",
    )
    safetensors.numpy.save_file(arrays, places["safetensors"] / "model.safetensors")
    with (places["pickle of arrays"] / "model.pkl").open("wb") as stream:
        pickle.dump(arrays, stream, protocol=4)
    return places


def dense_pickles(folder: Path) -> Path:
    """Pickles of nothing but opcodes: 10 MB of padding, and plain data."""
    return laid_out(
        [
            ("padding.pkl", b"\x80\x02" + b"N0" * 5_000_000 + b"N."),
            ("numbers.pkl", pickle.dumps(list(range(2_000_000)))),
            ("words.pkl", pickle.dumps({f"word{i}": i for i in range(500_000)})),
            ("records.pkl", pickle.dumps([{"a": i, "b": i / 2} for i in range(250_000)])),
        ],
        folder,
    )


def main() -> None:
    """Writes one row per work and tool; with ``--tool`` answers for one of them."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--tool", choices=TOOLS)
    arguments.add_argument("--folder", type=Path)
    arguments.add_argument("--large", action="store_true")
    chosen = arguments.parse_args()
    if chosen.tool:
        sys.stdout.write(json.dumps(child(chosen.tool, chosen.folder, large=chosen.large)) + "\n")
        return
    from tests.benchmarks.scan_tables import scan_table  # noqa: PLC0415
    from tests.benchmarks.tables import write_section  # noqa: PLC0415
    from tests.tasks.scanners.benign import benign  # noqa: PLC0415
    from tests.tasks.scanners.corpus import hostile  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "made").mkdir()
        works = {
            "hostile files": laid_out(hostile(), folder / "hostile"),
            "honest files": laid_out(benign(folder / "made"), folder / "honest"),
            "pickles of many opcodes": dense_pickles(folder / "dense"),
        }
        rows = [row(work, tool, place) for work, place in works.items() for tool in TOOLS]
        for name, place in large_files(folder).items():
            rows += [row(f"{LARGE_MIB} MiB {name}", tool, place, large=True) for tool in TOOLS]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    write_section("scan", scan_table(rows))


if __name__ == "__main__":
    main()
