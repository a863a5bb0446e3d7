"""The table of expectations: each column of the data against each kind, as one picture."""

import json
from typing import TYPE_CHECKING, Any

from tasks.domain.finding import Finding
from tasks.reports.drift_pictures import short
from tasks.reports.figures import ACCENT, ALARM, INK, SOFT, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = (
    "column", "type", "missing", "lowest", "highest", "far", "names", "unique", "order",
    "dependency",
)  # fmt: skip
SHOWN, LONGEST = 30, 28


def expectations(finding: Finding, data: bytes) -> "Figure":  # noqa: ARG001 - one signature
    """Draws kept ones pale, exceptions that chance explains darker, broken ones with their count.

    Raises:
        ValueError: There is nothing to draw.
    """
    rows = [
        one | {"of": table["rows"], "place": f"{' · '.join(one['columns'])} ({table['role']})"}
        for table in json.loads(data)
        for one in table["expectations"]
    ]
    places = sorted({row["place"] for row in rows}, key=lambda place: (-_worst(rows, place), place))
    if not places:
        raise ValueError("no expectation to draw")
    made, axes = figure(width=6.4, height=0.9 + 0.19 * len(places[:SHOWN]))
    for row in rows:
        if row["place"] in places[:SHOWN]:
            at = KINDS.index(row["kind"]), places.index(row["place"])
            axes.plot(*at, "s", color=_colour(row), markersize=7)
            if row["broken"] > row["allowed"]:
                axes.annotate(
                    str(row["broken"]), at, xytext=(6, 0), textcoords="offset points",
                    va="center", fontsize=6, color=INK,
                )  # fmt: skip
    axes.set_xticks(range(len(KINDS)), KINDS, rotation=30, ha="right")
    axes.set_yticks(range(len(places[:SHOWN])), [short(place, LONGEST) for place in places[:SHOWN]])
    axes.set(xlim=(-0.5, len(KINDS)), ylim=(len(places[:SHOWN]) - 0.5, -0.5))
    return made


def _colour(row: dict[str, Any]) -> str:
    if row["broken"] > row["allowed"]:
        return ALARM
    return ACCENT if row["broken"] and row["kind"] != "missing" else SOFT


def _worst(rows: list[dict[str, Any]], place: str) -> float:
    """Returns the largest share of rows that break an expectation there; 0 when none is broken."""
    return max(
        (
            row["broken"] / max(1, row["of"])
            for row in rows
            if row["place"] == place and row["broken"] > row["allowed"]
        ),
        default=0.0,
    )
