"""Pictures of drift: columns by how far they moved, before and now, and evidence by night."""

import json
from typing import TYPE_CHECKING, Any

from tasks.domain.finding import Finding
from tasks.reports.figures import ACCENT, ALARM, INK, SOFT, figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RANKED, LINES = 15, 6
LONGEST = 22


def ranking(finding: Finding, data: bytes) -> "Figure":
    """Draws each column's shift with its interval, the largest on top."""
    rows = json.loads(data)[:RANKED][::-1]
    made, axes = figure(height=0.6 + 0.2 * len(rows))
    for place, row in enumerate(rows):
        beyond = finding.threshold is not None and row["low"] > finding.threshold
        colour = ALARM if beyond else ACCENT if row["different"] else SOFT
        axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.4)
        axes.plot(row["distance"], place, "o", color=colour, markersize=3.5)
    axes.set_yticks(range(len(rows)), [short(row["column"]) for row in rows])
    if finding.threshold is not None:
        axes.axvline(finding.threshold, color=ALARM, linewidth=1, linestyle="--")
    axes.set(xlabel="shift (distance of distributions)", xlim=(0, None))
    return made


def distributions(finding: Finding, data: bytes) -> "Figure":  # noqa: ARG001 - one signature
    """Draws the columns that moved most: shares in the reference and now."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second, only for reports

    columns = json.loads(data)
    if not columns:
        raise ValueError("no column to draw")
    wide = min(3, len(columns))
    deep = -(-len(columns) // wide)
    made = Figure(figsize=(2.5 * wide, 1.7 * deep), dpi=130, layout="constrained")
    for at, column in enumerate(columns):
        axes = made.add_subplot(deep, wide, at + 1)
        plain(axes)
        _bars(axes, column)
    return made


def evidence(finding: Finding, data: bytes) -> "Figure":  # noqa: ARG001 - one signature
    """Draws the evidence of the gates nearest to an alarm, as a part of what an alarm takes."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - as above

    made, axes = figure()
    for at, gate in enumerate(json.loads(data)[:LINES]):
        nights = range(1, len(gate["log10"]) + 1)
        parts = [log / gate["limit_log10"] for log in gate["log10"]]
        colour = ALARM if gate["alarm"] else ACCENT if at == 0 else SOFT
        axes.plot(nights, parts, "o-", color=colour, markersize=2.5, linewidth=1.2,
                  label=short(gate["gate"]))  # fmt: skip
    axes.axhline(1, color=ALARM, linewidth=1, linestyle="--")
    axes.set(xlabel="night", ylabel="log evidence / log limit")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=7)
    return made


def _bars(axes: "Axes", column: dict[str, Any]) -> None:
    places = range(len(column["cells"]))
    colour = ALARM if column["beyond"] else ACCENT
    axes.bar(places, column["reference"], color=SOFT, width=0.9)
    axes.step(places, column["current"], where="mid", color=colour, linewidth=1.2)
    axes.set_title(short(column["column"]), fontsize=7, color=INK)
    axes.set_xticks([])
    axes.tick_params(labelsize=6)


def short(text: str, longest: int = LONGEST) -> str:
    """Returns a name as a picture shows it."""
    # A dollar sign would be read as mathematics.
    shown = text if len(text) <= longest else text[: longest - 1] + "…"
    return shown.replace("$", "\\$")
