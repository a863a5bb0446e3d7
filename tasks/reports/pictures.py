"""Pictures for the report, drawn from stored artifacts by the artifact's name.

An artifact that has no picture is still listed with its digest. Artifacts are our own format,
but hold numbers that derive from vendor data: they are read as JSON or safetensors only.
"""

import base64
import io
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import safetensors.numpy

from tasks.domain.finding import Finding, Outcome
from tasks.domain.measurement import Artifact
from tasks.reports import drift_pictures, expectation_pictures
from tasks.reports.figures import ACCENT, ALARM, INK, SOFT
from tasks.reports.figures import figure as _figure
from tasks.sandbox.protocol import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_log = logging.getLogger(__name__)


class Picture(NamedTuple):
    """One picture: a ``data:`` address, and what it shows in words."""

    source: str
    caption: str


Drawing = Callable[["Finding", bytes], "Figure"]


def pictures(finding: Finding, artifact: Artifact, data: bytes) -> list[Picture]:
    """Returns the pictures of one artifact: none, or one."""
    draw = _DRAWINGS.get((finding.check, artifact.name)) or _DRAWINGS.get(("*", artifact.name))
    if draw is None:
        return []
    try:
        source = _data_address(draw(finding, data))
    except Exception as error:  # noqa: BLE001 - three libraries draw, each with errors of its own
        # A picture explains; a report without it is still whole, and the artifact is listed.
        _log.warning("no picture of %s (%s): %r", artifact.name, finding.check, error)
        return []
    return [Picture(source, artifact.title)]


def _robustness(finding: Finding, data: bytes) -> "Figure":
    figure, axes = _figure()
    points = json.loads(data)
    x = [point["epsilon"] for point in points]
    _band(axes, x, points, "robust_accuracy")
    if finding.threshold is not None:
        _threshold(axes, finding.threshold)
    axes.set(xlabel="size of the change (fraction of input range)", ylabel="robust accuracy")
    axes.set_ylim(-0.02, 1.02)
    return figure


def _defences(finding: Finding, data: bytes) -> "Figure":  # noqa: ARG001 - one signature for all
    figure, axes = _figure(width=6.4, height=3.2)
    rows = json.loads(data)["defences"]
    best = max(rows[1:], key=lambda row: float(row["gain"]["value"]), default=None)
    for row in rows:
        points = row["curve"]
        colour = INK if row is rows[0] else ACCENT if row is best else SOFT
        name = "delivered model" if row is rows[0] else row["defence"].replace("_", " ")
        effect = f" ({row['effect']})" if "effect" in row else ""
        axes.plot(
            [point["epsilon"] for point in points],
            [point["robust_accuracy"] for point in points],
            color=colour,
            linestyle="--" if row is rows[0] else "-",
            marker="osv^Ddph"[rows.index(row) % 8],
            markersize=3.5,
            linewidth=1.8 if row in (rows[0], best) else 1,
            label=f"{name}{effect}",
        )
        if row is not rows[0]:
            seen = row["unaware_accuracy"]["value"]
            axes.plot(row["epsilon"], seen, "x", color=colour, markersize=5)
    axes.plot([], [], "x", color=SOFT, label="against who does not know of it")
    axes.set(xlabel="size of the change (fraction of input range)", ylabel="robust accuracy")
    axes.set_ylim(-0.02, 1.02)
    figure.legend(frameon=False, fontsize=7, loc="outside right upper")
    return figure


def _fidelity(finding: Finding, data: bytes) -> "Figure":
    figure, axes = _figure()
    found = json.loads(data)
    points, baseline = found["points"], found["baseline"]
    x = [point["queries"] for point in points]
    _band(axes, x, points, "fidelity")
    axes.scatter([x[-1]] * len(found["others"]), found["others"].values(), s=9, color=SOFT)
    if found["quota"]:
        axes.axvline(found["quota"], linewidth=1, color=INK, linestyle="-.", label="quota")
    axes.axhline(baseline, linestyle=":", color=SOFT, label="copy taught by true labels")
    if finding.threshold is not None and baseline + finding.threshold < 1:
        # The gate looks at what the answers add to a copy that never asked the model.
        _threshold(axes, baseline + finding.threshold)
    axes.set(xlabel="queries to the model", ylabel="agreement of the copy")
    axes.set_xscale("log")
    axes.set_ylim(-0.02, 1.02)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def _roc(finding: Finding, data: bytes) -> "Figure":  # noqa: ARG001 - one signature for all
    figure, axes = _figure(width=3.4)
    found = json.loads(data)
    # What matters lies at few false accusations, so both axes are logarithmic.
    floor = 0.5 / max(found.get("others", 1000), 1)
    axes.plot([floor, 1], [floor, 1], ":", color=SOFT, linewidth=1)
    for name, curve in found["curves"].items():
        chosen = name == found["chosen"]
        axes.plot(
            np.maximum(curve["false_positive"], floor),
            np.maximum(curve["true_positive"], floor),
            color=ACCENT if chosen else SOFT,
            linewidth=1.8 if chosen else 0.8,
            label=name if chosen else None,
        )
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    axes.set(xlabel="non-members called members", ylabel="members found")
    axes.set(xscale="log", yscale="log", xlim=(floor, 1), ylim=(floor, 1))
    axes.set_aspect("equal")
    return figure


def _attacks(finding: Finding, data: bytes) -> "Figure":
    """One line for each attack: what it reaches, and between which ends that lies."""
    found = json.loads(data)
    attacks = sorted(found["attacks"], key=lambda one: one["value"])
    figure, axes = _figure(height=0.9 + 0.22 * len(attacks))
    for place, one in enumerate(attacks):
        color = ACCENT if one["name"] == found["chosen"] else SOFT
        axes.plot([one["low"], one["high"]], [place, place], color=color, linewidth=2)
        axes.plot([one["value"]], [place], "o", color=color, markersize=4)
    if finding.threshold is not None:
        axes.axvline(finding.threshold, color=ALARM, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(attacks)), [one["name"] for one in attacks], fontsize=7)
    axes.set(xlabel=found["what"])
    axes.set_xlim(left=0)
    return figure


def _trigger(finding: Finding, data: bytes) -> "Figure":  # noqa: ARG001
    tensors = safetensors.numpy.load(data)
    wanted = [
        ("example", "an input"),
        ("triggered", "with the trigger"),
        ("pattern", "pattern"),
        ("mask", "where it acts"),
    ]
    return _grid([(tensors[name], text) for name, text in wanted if name in tensors])


def _samples(finding: Finding, data: bytes) -> "Figure":  # noqa: ARG001
    tensors = safetensors.numpy.load(data)
    images = tensors["inputs"] if "inputs" in tensors else next(iter(tensors.values()))
    labels = tensors.get("labels")
    names = [f"label {int(label)}" for label in labels] if labels is not None else [""] * 8
    return _grid(list(zip(images[:8], names, strict=False)))


def _witnesses(finding: Finding, data: bytes) -> "Figure":  # noqa: ARG001
    tensors = safetensors.numpy.load(data)
    clean, moved = tensors["clean"], tensors["adversarial"]
    rows = min(4, len(clean))
    pairs = [(clean[i], f"read {_label(tensors, 'labels', i)}") for i in range(rows)]
    pairs += [
        (moved[i], f"read {int(tensors['predicted'][i])}" if "predicted" in tensors else "misread")
        for i in range(rows)
    ]
    return _grid(pairs, columns=rows)


def _nearest(finding: Finding, data: bytes) -> "Figure":  # noqa: ARG001
    figure, axes = _figure()
    for norm, colour, name in (("l2", ACCENT, "L2, per value"), ("linf", ALARM, "L-infinity")):
        points = [point for point in json.loads(data) if point["norm"] == norm]
        x = [point["change"] for point in points]
        _band(axes, x, points, "robust_accuracy", colour=colour, label=name)
    axes.set(xlabel="smallest change (fraction of input range)", ylabel="inputs that stand")
    axes.set_ylim(-0.02, 1.02)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _certified(finding: Finding, data: bytes) -> "Figure":
    figure, axes = _figure()
    points = json.loads(data)
    if not points:
        raise ValueError("a curve without points")
    x = [point["change"] for point in points]
    y = [point["certified_accuracy"] for point in points]
    axes.step(x, y, where="pre", color=ACCENT)
    if finding.threshold is not None:
        _threshold(axes, finding.threshold)
    axes.set(xlabel="length of the change (L2, input ranges)", ylabel="certified accuracy")
    axes.set_ylim(-0.02, 1.02)
    return figure


def _damage(finding: Finding, data: bytes) -> "Figure":  # noqa: ARG001
    figure, axes = _figure(width=6.4, height=3.4)
    rows = json.loads(data)
    kinds = sorted({row["kind"] for row in rows})
    severities = sorted({row["severity"] for row in rows})
    held = {(row["kind"], row["severity"]): row["accuracy"] for row in rows}
    table = np.array([[held[kind, severity] for severity in severities] for kind in kinds])
    image = axes.imshow(table, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    axes.set_yticks(range(len(kinds)), [kind.replace("_", " ") for kind in kinds], fontsize=7)
    axes.set_xticks(range(len(severities)), [str(severity) for severity in severities])
    axes.set(xlabel="severity")
    figure.colorbar(image, ax=axes, label="accuracy")
    return figure


def _classes(finding: Finding, data: bytes) -> "Figure":
    figure, axes = _figure()
    found = json.loads(data)
    odd = max(found, key=lambda row: float(row["anomaly_index"]))
    rows = [row for row in found if row.get("shape") == odd.get("shape")]
    failed = finding.outcome is Outcome.FAIL
    colours = [ALARM if failed and row is odd else ACCENT for row in rows]
    axes.bar([str(row["class"]) for row in rows], [row["size"] for row in rows], color=colours)
    axes.set(xlabel="target class", ylabel="smallest trigger (share of input)")
    return figure


def _spectra(finding: Finding, data: bytes) -> "Figure":
    figure, axes = _figure()
    found = json.loads(data)
    suspected = found.get("suspected")
    for name, counts in found["classes"].items():
        alarming = finding.outcome is Outcome.FAIL and name == str(suspected)
        axes.stairs(
            counts,
            found["edges"],
            fill=True,
            alpha=0.55,
            color=ALARM if alarming else SOFT,
            label=f"class {name}" + (" (suspected)" if alarming else ""),
        )
    axes.set(xlabel="outlier score", ylabel="rows")
    axes.legend(frameon=False, fontsize=8)
    return figure


def _band(
    axes: "Axes",
    x: list[float],
    points: list[dict[str, Any]],
    name: str,
    *,
    colour: str = ACCENT,
    label: str | None = None,
) -> None:
    if not points:
        raise ValueError("a curve without points")
    value, low, high = ([point[key] for point in points] for key in (name, "low", "high"))
    axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(x, value, "o-", color=colour, markersize=3, linewidth=1.4, label=label)


def _threshold(axes: "Axes", value: float) -> None:
    axes.axhline(value, color=ALARM, linewidth=1, linestyle="--")
    axes.annotate("threshold", (0.99, value), xycoords=("axes fraction", "data"), fontsize=7,
                  color=ALARM, ha="right", va="bottom")  # fmt: skip


def _label(tensors: dict[str, Array], name: str, row: int) -> str:
    return str(int(tensors[name][row])) if name in tensors else "?"


def _grid(cells: list[tuple[Array, str]], columns: int = 8) -> "Figure":
    from matplotlib.figure import Figure  # noqa: PLC0415

    columns = min(columns, len(cells))
    rows = -(-len(cells) // columns)
    figure = Figure(figsize=(1.15 * columns, 1.35 * rows), dpi=130, layout="constrained")
    for index, (image, text) in enumerate(cells):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.imshow(_pixels(image), cmap="gray", interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(text, fontsize=7, color=INK)
    return figure


def _pixels(image: Array) -> Array:
    """Turns (C, H, W), (H, W) or a flat row into something that can be shown, scaled to 0..1."""
    array = np.nan_to_num(np.asarray(image, dtype=np.float32))
    if array.ndim == 3:
        array = array[0] if array.shape[0] not in {3, 4} else array.transpose(1, 2, 0)
    elif array.ndim == 1:
        array = array[None, :]
    low, high = float(array.min()), float(array.max())
    scaled: Array = (array - low) / (high - low) if high > low else np.zeros_like(array)
    return scaled


def _data_address(figure: "Figure") -> str:
    buffer = io.BytesIO()
    # No metadata: equal facts give equal bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


_DRAWINGS: dict[tuple[str, str], Drawing] = {
    ("evasion.linf_robust_accuracy", "curve.json"): _robustness,
    ("evasion.l2_robust_accuracy", "curve.json"): _robustness,
    ("evasion.minimal_norm", "curve.json"): _nearest,
    ("evasion.certified_radius", "certified.json"): _certified,
    ("evasion.corruptions", "corruptions.json"): _damage,
    ("*", "witnesses.safetensors"): _witnesses,
    ("evasion.defences", "defences.json"): _defences,
    ("extraction.fidelity", "curve.json"): _fidelity,
    ("*", "roc.json"): _roc,
    ("*", "attacks.json"): _attacks,
    ("*", "trigger.safetensors"): _trigger,
    ("*", "classes.json"): _classes,
    ("*", "samples.safetensors"): _samples,
    ("*", "spectra.json"): _spectra,
    ("*", "shifts.json"): drift_pictures.ranking,
    ("*", "distributions.json"): drift_pictures.distributions,
    ("data.expectations", "expectations.json"): expectation_pictures.expectations,
    ("drift.watch", "evidence.json"): drift_pictures.evidence,
}
