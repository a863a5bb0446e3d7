"""The section on scanning in ``README.md``, made from its rows."""

from typing import Any

COLUMNS = (
    "| work | tool | n | flagged | failed | silent | median s | max s | MiB | of SHA-256 speed |"
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
    told = "" if speed is None else f"{speed:.0%}"
    return (
        f"{head}{row['version']} | {row['n']} | {counts} | {seconds['median']:.4f} | "
        f"{seconds['max']:.2f} | {row.get('peak_mib', '')} | {told} |"
    )
