"""Keeps ``README.md`` up to date, one generated section per benchmark, the others untouched."""

import datetime as dt
import os
import platform
import re
from pathlib import Path

README = Path(__file__).with_name("README.md")
HEAD = """# Benchmarks

Each table is written by its own command (`make bench-NAME`) from `results/NAME.json`; edit none
by hand. Peers run in the same command on the same work; one that is not installed is a row that
says so.
"""


def put_section(name: str, body: str, readme: Path = README) -> None:
    """Puts ``body`` between the marks of a section, which is made if it is not there."""
    begin, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
    text = readme.read_text(encoding="utf-8") if readme.exists() else HEAD
    section = f"{begin}\n{body.strip()}\n\n{machine()}\n{end}"
    old = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    found = old.search(text) is not None
    new = old.sub(lambda _: section, text) if found else f"{text.rstrip()}\n\n{section}\n"
    readme.write_text(new, encoding="utf-8")


def machine() -> str:
    """Returns one line: what this was measured on, and when."""
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    return (
        f"Measured on {today}: {platform.machine()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}; load at the end {os.getloadavg()[0]:.1f}."
    )
