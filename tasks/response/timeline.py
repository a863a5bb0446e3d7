"""The picture of a drill: what the players were told and decided, on the drill's clock."""

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.catalog.drills import DrillEntry
from tasks.domain.drill import DrillResult, Scored

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, GOOD, LATE, BAD, SOFT = "#1d2733", "#1b6e3c", "#8a5a00", "#b3261e", "#9db4c0"


def timeline(drill: DrillEntry, result: DrillResult) -> str:
    """Returns the picture as a ``data:`` address (PNG)."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only who draws pays for it

    rows = list(result.decisions)
    figure = Figure(figsize=(9.6, 1.6 + 0.34 * len(rows)), layout="constrained")
    axes = figure.subplots()
    _injects(axes, drill, len(rows))
    for place, one in enumerate(rows):
        _decision(axes, one, place, drill.minutes)
    axes.set_yticks(range(len(rows)), [_label(one) for one in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -1.6)
    axes.set_xlim(0, max([drill.minutes, *(one.at or 0 for one in rows)]) * 1.02)
    axes.set_xlabel("minutes on the drill's clock")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=130, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def _injects(axes: "Axes", drill: DrillEntry, rows: int) -> None:
    for inject in drill.injects:
        axes.plot([inject.at_minutes] * 2, [-1, rows - 0.5], color=SOFT, lw=0.8, zorder=0)
        axes.text(
            inject.at_minutes, -1.1, inject.id.replace("_", " "), rotation=18, fontsize=7,
            color=INK, ha="left", va="bottom",
        )  # fmt: skip


def _decision(axes: "Axes", one: Scored, place: int, last: float) -> None:
    axes.plot([one.asked, one.due], [place, place], color=SOFT, lw=6, solid_capstyle="butt")
    if one.at is None:
        axes.plot([last], [place], "x", color=BAD, ms=8)
        return
    colour = BAD if one.share == 0 else LATE if one.worth < 1 else GOOD
    axes.plot([one.due, one.at], [place, place], color=LATE if one.late else SOFT, lw=1.2, ls=":")
    axes.plot([one.at], [place], "o", color=colour, ms=7)


def _label(one: Scored) -> str:
    return one.decision.replace("_", " ")


def legend() -> Sequence[tuple[str, str]]:
    """Returns what the marks mean."""
    return (
        ("grey bar", "from the question to its deadline"),
        ("green dot", "good and in time"),
        ("amber dot", "good in part, or late"),
        ("red dot", "wrong"),
        ("red cross", "nobody answered"),
    )
