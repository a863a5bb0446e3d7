"""The picture of a live-fire drill: attack, detection, containment, honest callers; one clock."""

import base64
import io
from typing import TYPE_CHECKING

from tasks.domain.live_drill import Lane, LiveResult, Moment
from tasks.reports.figures import ACCENT, ALARM, INK, SOFT, plain
from tasks.response.live.record import BIN_SECONDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GOOD = "#1b6e3c"
_LANES: tuple[Lane, ...] = ("detection", "containment", "people")
LANE_WORDS: dict[Lane, str] = {
    "attack": "attack", "detection": "noticed", "containment": "proven", "people": "people",
    "benign": "callers",
}  # fmt: skip
_COLOURS = {"detection": ALARM, "containment": GOOD, "people": SOFT}
MARGIN = 0.04


def live_timeline(result: LiveResult) -> str:
    """Returns the picture as a ``data:`` address (PNG)."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only who draws pays for it

    figure = Figure(figsize=(9.6, 5.0), dpi=130, layout="constrained")
    attack, marks, benign = figure.subplots(3, 1, sharex=True, height_ratios=[3, 1.4, 2])
    _volleys(attack, result, "attack", "attack", ACCENT)
    _moments(marks, result)
    _volleys(benign, result, "benign", "honest callers", SOFT)
    for axes in (attack, marks, benign):
        plain(axes)
        _bounds(axes, result)
    marks.spines["bottom"].set_visible(False)
    marks.tick_params(left=False, bottom=False)
    last = _last(result)
    benign.set_xlim(-MARGIN * last, last * (1 + MARGIN))
    benign.set_xlabel("seconds of a real clock since the first shot")
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def live_legend() -> tuple[tuple[str, str], ...]:
    """Returns what the marks mean."""
    return (
        ("bars", "requests in each half second, above the line answered, below it refused (red)"),
        ("red line", "first noticed"),
        ("green line", "contained"),
        ("dots", "what was noticed, what was proven, and what people did, each at its moment"),
    )


def contained_at(result: LiveResult) -> float | None:
    """Returns when the attack was contained, on the drill's clock; None for never."""
    if result.seconds_to_detect is None or result.seconds_to_contain is None:
        return None
    return result.seconds_to_detect + result.seconds_to_contain


def _volleys(axes: "Axes", result: LiveResult, side: str, name: str, colour: str) -> None:
    places = [volley.at + BIN_SECONDS / 2 for volley in result.volleys]
    answered = [getattr(volley, f"{side}_answered") for volley in result.volleys]
    refused = [-getattr(volley, f"{side}_refused") for volley in result.volleys]
    axes.bar(places, answered, width=BIN_SECONDS * 0.9, color=colour)
    axes.bar(places, refused, width=BIN_SECONDS * 0.9, color=ALARM)
    axes.axhline(0, color=INK, linewidth=0.8)
    top, low = max([1, *answered]), min([0, *refused])
    axes.set_ylim(low * 1.15 if low else -0.12 * top, top * 1.15)
    axes.set_yticks(sorted({low, 0, top}), [str(abs(tick)) for tick in sorted({low, 0, top})])
    axes.set_ylabel(f"{name}\nper {BIN_SECONDS:g} s")


def _moments(axes: "Axes", result: LiveResult) -> None:
    for place, lane in enumerate(_LANES):
        seen: list[Moment] = [one for one in result.moments if one.lane == lane]
        axes.plot(
            [one.at for one in seen], [place] * len(seen), "o", color=_COLOURS[lane], ms=5,
            alpha=0.85, clip_on=False,
        )  # fmt: skip
    axes.set_yticks(range(len(_LANES)), [LANE_WORDS[lane] for lane in _LANES], fontsize=8)
    axes.set_ylim(len(_LANES) - 0.5, -0.5)


def _bounds(axes: "Axes", result: LiveResult) -> None:
    if result.seconds_to_detect is not None:
        axes.axvline(result.seconds_to_detect, color=ALARM, linewidth=1.2, linestyle="--")
    if (contained := contained_at(result)) is not None:
        axes.axvline(contained, color=GOOD, linewidth=1.2, linestyle="--")


def _last(result: LiveResult) -> float:
    ends = [volley.at + BIN_SECONDS for volley in result.volleys]
    return max([1.0, *ends, *(one.at for one in result.moments)])
