"""Writes the tables of ``README.md``: one section per benchmark, with machine and date."""

import datetime as dt
import os
import platform
import re
from pathlib import Path
from typing import Any

import torch

README = Path(__file__).with_name("README.md")
HEAD = """# Benchmarks

Each table is written by its own command (`make bench-NAME`) beside `results/NAME.json`; edit none
by hand. Peers run in the same command on the same work; one that is not installed is a row that
says so.
"""


def write_section(name: str, body: str, readme: Path = README) -> None:
    """Puts ``body`` between the marks of a section, which is made if it is not there."""
    begin, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
    text = readme.read_text(encoding="utf-8") if readme.exists() else HEAD
    section = f"{begin}\n{body.strip()}\n\n{machine()}\n{end}"
    old = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if old.search(text):
        text = old.sub(lambda _: section, text)
    else:
        text = f"{text.rstrip()}\n\n{section}\n"
    readme.write_text(text, encoding="utf-8")


def machine() -> str:
    """Returns one line: what this was measured on, and when."""
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    return (
        f"Measured on {today}: {_processor()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, torch {torch.__version__}; "
        f"load at the end {os.getloadavg()[0]:.1f}."
    )


def evasion_table(rows: list[dict[str, Any]]) -> str:
    """Returns the section on evasion in Markdown."""
    lines = [
        "## Evasion (`make bench-evasion`)",
        "",
        "![Passes per tool](results/evasion.svg)",
        "",
        "| work | tool | n | robust | passes | CPU s | MiB | what it says |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(_line(row) for row in rows)])


def _line(row: dict[str, Any]) -> str:
    if "skipped" in row:
        return f"| {row['work']} | {row['tool']} | | | | | | skipped: {row['skipped']} |"
    quality = dict(row["quality"])
    robust = quality.pop("robust", "")
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in quality.items())
    passes = f"{row['passes']:,}" if "passes" in row else ""
    return (
        f"| {row['work']} | {row['tool']} | {row['n']} | {robust} | {passes} | "
        f"{row['seconds']['median']} | {row.get('peak_mib', '')} | {told} |"
    )


def _processor() -> str:
    with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
