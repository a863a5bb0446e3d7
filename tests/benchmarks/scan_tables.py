"""The section on scanning in ``README.md``, generated from its rows, with machine and date."""

import datetime as dt
import os
import platform
import re
from pathlib import Path
from typing import Any

README = Path(__file__).with_name("README.md")
HEAD = """# Benchmarks

Each table is written by its own command (`make bench-NAME`) beside `results/NAME.json`; edit none
by hand. Peers run in the same command on the same work; one that is not installed is a row that
says so.
"""
COLUMNS = (
    "| work | tool | n | flagged | failed | silent | median s | max s | MiB | of SHA-256 speed |"
)


def write_section(name: str, body: str, readme: Path = README) -> None:
    """Puts ``body`` between the marks of a section, which is made if it is not there."""
    begin, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
    text = readme.read_text(encoding="utf-8") if readme.exists() else HEAD
    section = f"{begin}\n{body.strip()}\n\n{machine()}\n{end}"
    old = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    found = old.search(text)
    text = old.sub(lambda _: section, text) if found else f"{text.rstrip()}\n\n{section}\n"
    readme.write_text(text, encoding="utf-8")


def machine() -> str:
    """Returns one line: what this was measured on, and when."""
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    cores, load = os.cpu_count(), os.getloadavg()[0]
    return (
        f"Measured on {today}: {platform.machine()}, {cores} cores, {platform.system()}, "
        f"Python {platform.python_version()}; load at the end {load:.1f}."
    )


def scan_table(rows: list[dict[str, Any]]) -> str:
    """Returns the section in Markdown."""
    return "\n".join(
        [
            "## Artifact scan (`make bench-scan`)",
            "",
            "Hostile files: silent is a miss. Honest files: flagged is a false alarm.",
            "",
            COLUMNS,
            "|---" * (COLUMNS.count("|") - 1) + "|",
            *map(_line, rows),
        ]
    )


def _line(row: dict[str, Any]) -> str:
    head = f"| {row['work']} | {row['tool']} "
    if "skipped" in row:
        return f"{head}| | | | | | | | {row['skipped']} |"
    quality, seconds = row["quality"], row["seconds"]
    counts = " | ".join(str(quality[each]) for each in ("flagged", "failed", "silent"))
    speed = quality.get("speed_of_sha256")
    return (
        f"{head}{row['version']} | {row['n']} | {counts} | {seconds['median']:.4f} | "
        f"{seconds['max']:.2f} | {row['peak_mib']} | {'' if speed is None else f'{speed:.0%}'} |"
    )
