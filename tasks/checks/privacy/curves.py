"""The curve of members found against others accused, kept for the report."""

import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tasks.checks.lab import Lab
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Artifact
from tasks.statistics.intervals import Floats
from tasks.statistics.roc import roc_curve

CURVE_POINTS = 200


def keep_comparison(lab: Lab, worth: Mapping[str, Estimate], *, chosen: str, what: str) -> Artifact:
    """Stores what each attack reaches with its interval; ``what`` names the axis."""
    attacks = [
        {"name": name, **{end: round(getattr(one, end), 6) for end in ("value", "low", "high")}}
        for name, one in sorted(worth.items())
    ]
    return lab.keep(
        "attacks.json",
        title="What each attack reaches, with its interval",
        media_type="application/json",
        data=json.dumps({"chosen": chosen, "what": what, "attacks": attacks}).encode(),
    )


def keep_curves(
    lab: Lab,
    signals: Mapping[str, Floats],
    members: NDArray[np.bool_],
    *,
    chosen: str,
    counted: NDArray[np.bool_],
) -> Artifact:
    """Stores one curve for each attack, over the counted items."""
    curves = {}
    for name, signal in signals.items():
        curve = roc_curve(signal[counted & members], signal[counted & ~members])
        last = len(curve.thresholds) - 1
        # Half of the points lie where false positives are rare: the picture is logarithmic.
        even = np.linspace(0, last, CURVE_POINTS // 2)
        low = np.geomspace(1, last, CURVE_POINTS // 2) if last > 1 else even
        points = np.unique(np.concatenate([even, low]).round().astype(int))
        curves[name] = {
            "false_positive": [round(float(x), 6) for x in curve.false_positive[points]],
            "true_positive": [round(float(x), 6) for x in curve.true_positive[points]],
        }
    document = {"chosen": chosen, "others": int((counted & ~members).sum()), "curves": curves}
    return lab.keep(
        "roc.json",
        title="Members named against others accused, for each attack",
        media_type="application/json",
        data=json.dumps(document, sort_keys=True).encode(),
    )
