"""An empty figure in the report's colours: what every picture starts from."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, ACCENT, ALARM, SOFT = "#1d2733", "#1f6f8b", "#b3261e", "#9db4c0"


def figure(width: float = 4.8, height: float = 2.8) -> "tuple[Figure, Axes]":
    """Returns a figure of this size in inches, with one pair of axes."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second, only for reports

    made = Figure(figsize=(width, height), dpi=130, layout="constrained")
    axes = made.add_subplot()
    plain(axes)
    return made, axes


def plain(axes: "Axes") -> None:
    """Takes needless lines off a pair of axes."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=INK)
    axes.xaxis.label.set_fontsize(8)
    axes.yaxis.label.set_fontsize(8)
