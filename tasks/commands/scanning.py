"""How a scan is told to people: a table of files, their findings, and what to do about them."""

import io
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tasks.catalog.reading import Catalog
from tasks.intake.names import shown

WIDTH = 120
MOST_FINDINGS = 200
_ORDER = {"critical": 0, "high": 1, "medium": 2, "low": 3, "info": 4}


def scan_lines(document: dict[str, Any]) -> list[str]:
    """Returns the lines of a report; every text of a stranger is shown escaped."""
    files, findings = document["files"], _findings(document)
    lines = _drawn(_file_table(files))
    if findings:
        lines += _drawn(_finding_table(findings[:MOST_FINDINGS]))
        if len(findings) > MOST_FINDINGS:
            lines.append(f"  {len(findings) - MOST_FINDINGS} more findings: use --json")
        lines += _drawn(_remedy_table(findings))
    counts = {
        outcome: sum(file["outcome"] == outcome for file in files)
        for outcome in ("fail", "undecided", "pass")
    }
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    noun = "file" if len(files) == 1 else "files"
    return [*lines, f"outcome: {document['outcome']} ({len(files)} {noun}: {told})"]


def _findings(document: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    found = [(finding, file["path"]) for file in document["files"] for finding in file["findings"]]
    return sorted(found, key=lambda each: (_ORDER[each[0]["severity"]], each[1]))


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, width=WIDTH)
    for name in columns:
        wide = name in ("file", "where", "what was found", "what to do")
        table.add_column(name, overflow="fold", no_wrap=not wide, ratio=2 if wide else None)
    return table


def _file_table(files: list[dict[str, Any]]) -> Table:
    table = _table("outcome", "file", "format", "bytes", "findings")
    for file in files:
        table.add_row(
            file["outcome"],
            _text(file["path"]),
            file["format"],
            f"{file['bytes']:,}",
            str(len(file["findings"]) or ""),
        )
    return table


def _finding_table(findings: list[tuple[dict[str, Any], str]]) -> Table:
    table = _table("severity", "rule", "where", "what was found")
    for finding, path in findings:
        place = finding["location"] or path
        table.add_row(finding["severity"], finding["rule"], _text(place), _text(finding["detail"]))
    return table


def _remedy_table(findings: list[tuple[dict[str, Any], str]]) -> Table:
    catalog = Catalog()
    known = set(catalog.ids("rules"))
    table = _table("rule", "what to do")
    for rule in dict.fromkeys(finding["rule"] for finding, _ in findings):
        if rule in known:
            table.add_row(rule, " ".join(catalog.rule(rule).remedy.split()))
    return table


def _text(text: str) -> Text:
    return Text(shown(text, 400))


def _drawn(table: Table) -> list[str]:
    buffer = io.StringIO()
    Console(file=buffer, width=WIDTH, color_system=None, force_terminal=False).print(table)
    return [line.rstrip() for line in buffer.getvalue().splitlines()]
