"""Coverage-guided fuzzing of every parser: ``python -m tests.tasks.scanners.fuzz_parsers zip``.

Needs the extra ``fuzz``. The oracle is that of the scan: whatever the bytes are, a reading ends, in
time, with a format's name or with a spent budget. An input that breaks this is written to
``fuzz_corpus/<parser>/`` and stays there as a regression case. What reached new code without
breaking anything is kept in ``fuzz_corpus/<parser>.zip``, the smallest first: the next run starts
there, and the tests replay it. ``--seconds`` bounds the run of one parser; without
a parser each one is run after the other.
"""

import argparse
import hashlib
import importlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

KEPT = Path(__file__).with_name("fuzz_corpus")
NAMES = {
    "pickle": "file",
    "text": "file.md",
    "json": "config.json",
    "yaml": "file.yaml",
    "requirements": "requirements.txt",
    "template": "chat_template.jinja",
}
"""Readings that are no entry of the table of formats, and the names that lead to them."""

MOST_SECONDS = 10
MOST_BYTES = 1 << 16
MOST_KEPT_BYTES, MOST_KEPT = 4096, 120
"""Of one parser: larger inputs and more of them would make the repository heavy for little."""
_FOUND = 40
"""Characters in the name that libFuzzer gives to an input; our own seeds have shorter ones."""
_SAME_DATE = (2026, 1, 1, 0, 0, 0)


def parsers() -> tuple[str, ...]:
    """Returns every reading that is fuzzed on its own."""
    from tasks.scanners import recognition  # noqa: PLC0415 - must be instrumented before

    return (*(form.name for form in recognition.FORMATS), *NAMES)


def read_once(parser: str, data: bytes) -> None:
    """Reads ``data`` as a whole file; raises whatever a scan would have to hide."""
    from tasks.scanners import recognition  # noqa: PLC0415 - must be instrumented before
    from tasks.scanners.inspection import Inspection, Notes  # noqa: PLC0415
    from tasks.scanners.reading import Budget, BudgetSpent, View  # noqa: PLC0415

    budget = Budget(root_bytes=len(data), expanded_bytes=8 << 20, nested=500, seconds=MOST_SECONDS)
    name = NAMES.get(parser, "file")
    inspection = Inspection(name, name, budget, Notes(), recognition.read_all)
    try:
        recognition.read_all(View.of_bytes(data), inspection)
    except BudgetSpent:
        return


def write_seeds(folder: Path) -> None:
    """Writes the small files of the corpora, one folder for each parser that recognises them."""
    from tasks.scanners import recognition  # noqa: PLC0415
    from tasks.scanners.reading import View  # noqa: PLC0415
    from tests.tasks.scanners.benign import benign  # noqa: PLC0415
    from tests.tasks.scanners.corpus import hostile  # noqa: PLC0415

    for parser in parsers():
        (folder / parser).mkdir()
    files = [*hostile(), *benign(folder)]
    for index, (name, data) in enumerate(files):
        if len(data) > MOST_BYTES or name.startswith("callables/"):
            continue
        forms = [form.name for form in recognition.FORMATS if form.recognised(View.of_bytes(data))]
        for form in forms or NAMES:
            (folder / form / f"{index}").write_bytes(data)
    for parser in parsers():
        for name, data in kept_inputs(parser):
            # Named as libFuzzer names what it finds, so that it is kept again.
            (folder / parser / name.ljust(_FOUND, "0")).write_bytes(data)


def kept_inputs(parser: str) -> Iterator[tuple[str, bytes]]:
    """Yields name and bytes of what earlier runs found worth keeping."""
    archive = KEPT / f"{parser}.zip"
    if archive.is_file():
        with zipfile.ZipFile(archive) as opened:
            yield from ((name, opened.read(name)) for name in opened.namelist())


def keep(parser: str, inputs: Path) -> None:
    """Keeps the smallest of the new inputs among ``inputs``; equal inputs give equal bytes."""
    new = (path.read_bytes() for path in inputs.iterdir() if len(path.name) == _FOUND)
    chosen = sorted((data for data in new if len(data) <= MOST_KEPT_BYTES), key=len)[:MOST_KEPT]
    with zipfile.ZipFile(KEPT / f"{parser}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for data in chosen:
            name = hashlib.sha256(data).hexdigest()[:16]
            archive.writestr(zipfile.ZipInfo(name, _SAME_DATE), data)


def fuzz(parser: str, seeds: Path, seconds: int) -> None:
    """Hands over to libFuzzer, which ends the process."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["tasks.scanners"]):
        importlib.import_module("tasks.scanners.recognition")
    kept = KEPT / parser
    kept.mkdir(parents=True, exist_ok=True)
    options = [
        sys.argv[0],
        str(seeds / parser),
        f"-max_total_time={seconds}",
        f"-max_len={MOST_BYTES}",
        f"-timeout={MOST_SECONDS}",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={kept}/",
    ]
    atheris.Setup(options, lambda data: read_once(parser, data))
    atheris.Fuzz()


def _run(parser: str, seeds: Path, seconds: int) -> int:
    command = [sys.executable, "-m", "tests.tasks.scanners.fuzz_parsers", parser]
    command += ["--seconds", str(seconds), "--seeds", str(seeds)]
    searched = subprocess.run(command, check=False).returncode
    if searched:
        return searched
    keep(parser, seeds / parser)
    return 0


def main() -> None:
    """Fuzzes one parser, or all of them, each in a process of its own."""
    arguments = argparse.ArgumentParser(description="Fuzz the scanner's parsers.")
    arguments.add_argument("parser", nargs="*")
    arguments.add_argument("--seconds", type=int, default=60)
    arguments.add_argument("--seeds", type=Path, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.seeds:
        fuzz(chosen.parser[0], chosen.seeds, chosen.seconds)
        return
    with tempfile.TemporaryDirectory() as folder:
        seeds = Path(folder)
        write_seeds(seeds)
        wanted = chosen.parser or parsers()
        broken = [each for each in wanted if _run(each, seeds, chosen.seconds)]
    sys.exit(f"inputs were kept for: {', '.join(broken)}" if broken else 0)


if __name__ == "__main__":
    main()
