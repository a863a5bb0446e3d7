"""Draws what an evaluation of equal strength costs, ours beside the reference."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

OURS, THEIRS = "Proofhouse", "AutoAttack reference (recorded)"


def draw(rows: list[dict[str, Any]], place: Path) -> None:
    """Writes bars of passes per model, on a logarithmic axis."""
    counted = [row for row in rows if "passes" in row]
    costs = {
        tool: {row["work"]: row["passes"] for row in counted if row["tool"] == tool}
        for tool in (OURS, THEIRS)
    }
    works = [work for work in costs[OURS] if work in costs[THEIRS]]
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.subplots()
    for offset, tool, colour in ((-0.2, THEIRS, "#9aa5b1"), (0.2, OURS, "#1f6f8b")):
        heights = [costs[tool][work] for work in works]
        bars = axes.bar(np.arange(len(works)) + offset, heights, 0.4, label=tool, color=colour)
        axes.bar_label(bars, [f"{height:,}" for height in heights], fontsize=7)
    axes.set_xticks(np.arange(len(works)), works, fontsize=8)
    axes.set_ylabel("passes")
    if works:
        axes.set_yscale("log")
    axes.legend(fontsize=8)
    axes.set_title("One evaluation at equal strength", fontsize=10)
    figure.savefig(place, metadata={"Date": None})
