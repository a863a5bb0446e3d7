"""From scanned models to the section of ``README.md``: areas, false alarms, cost per family."""

import statistics
from typing import Any

import numpy as np

from tasks.checks.backdoor.trigger_inversion import FOUND
from tasks.detectors.backdoor.inversion import AWAY
from tasks.detectors.backdoor.pair_sizes import STANDS_OUT as TWIN_STANDS_OUT
from tasks.detectors.backdoor.pair_sizes import hidden_indices
from tasks.detectors.backdoor.sizes import STANDS_OUT as UNIVERSAL_STANDS_OUT
from tasks.domain.estimate import Estimate
from tasks.statistics.intervals import binomial
from tasks.statistics.roc import auc
from tests.benchmarks.backdoor_zoo import HONEST, OBEYS, TROJANED

Line = dict[str, Any]


def twin_score(line: Line) -> float:
    """Returns the largest index of a trigger that works on most held-out pictures."""
    told = line["twin_inversion"]
    indices = hidden_indices(np.array(told["indices"]), np.array(told["transfer"])).tolist()
    rows = zip(indices, told["success"], strict=True)
    # A trigger that does not work says little, but more than nothing at all.
    best: float = max(index if success >= FOUND else min(index, 0.0) for index, success in rows)
    return best


def universal_score(line: Line) -> float:
    """Returns the best success below the limit of a class that stands out, or of a mapping."""
    best = 0.0
    for shape in ("patch", "blend"):
        told = line["trigger_inversion"][shape]
        rows = zip(told["suspects"], told["indices"], told["success"], strict=True)
        for aim, index, success in rows:
            counts = aim == AWAY or index >= UNIVERSAL_STANDS_OUT
            best = max(best, success + max(0.0, index) / 1000 if counts else index / 1000)
    return best


def cleanse_score(line: Line) -> float:
    """Returns the anomaly index of the smallest mask."""
    return float(line["neural_cleanse"]["oddness"])


def channel_score(line: Line) -> float:
    """Returns the largest deviation of a channel's norm."""
    return float(line["weights"]["channel"] or 0.0)


def last_layer_score(line: Line) -> float:
    """Returns the largest deviation of a row of the last layer."""
    return float(line["weights"]["last_layer"] or 0.0)


SCORES = {
    "twin_inversion": twin_score,
    "trigger_inversion": universal_score,
    "neural_cleanse": cleanse_score,
}
THRESHOLDS = {"twin_inversion": TWIN_STANDS_OUT, "trigger_inversion": FOUND, "neural_cleanse": 2.0}
"""The checks' own, set on the calibration zoo and before; the paper's."""
CHEAP = {"channel norms": channel_score, "last layer": last_layer_score}


def obeying(lines: list[Line], family: str) -> list[Line]:
    """Returns the models of a family whose trigger works."""
    return [line for line in lines if line["family"] == family and line["obedience"] >= OBEYS]


def summary(lines: list[Line]) -> list[Line]:
    """Returns one row per tool and family of the test zoo, as ``results/backdoor.json`` has it."""
    rows: list[Line] = []
    for tool, threshold in THRESHOLDS.items():
        test = [line for line in lines if line["part"] == "test" and tool in line]
        honest = [line for line in test if line["family"] in HONEST]
        families = {family: obeying(test, family) for family in TROJANED}
        families["all backdoors"] = [one for known in families.values() for one in known]
        if not honest:
            rows.append({"work": "all backdoors", "tool": tool, "skipped": "not run"})
            continue
        clean = np.array([SCORES[tool](line) for line in honest])
        rows += [
            {"work": family, "tool": tool, "n": len(known)}
            | {"quality": _quality(np.array(list(map(SCORES[tool], known))), clean, threshold)}
            | _cost(tool, known)
            for family, known in families.items()
            if known
        ]
        alarms = int((clean >= threshold).sum())
        quality = {"flagged": alarms, **_interval(binomial(alarms, len(clean)))}
        rows.append(
            {"work": "honest models", "tool": tool, "n": len(clean), "quality": quality}
            | _cost(tool, honest)
        )
    return rows


def _quality(found: Any, clean: Any, threshold: float) -> Line:
    area = auc(found, clean)
    return {
        "found": int((found >= threshold).sum()),
        "auc": round(area.value, 3),
        **_interval(area),
        "threshold": round(threshold, 3),
    }


def _interval(estimate: Estimate) -> dict[str, float]:
    return {"low": round(estimate.low, 3), "high": round(estimate.high, 3)}


def _cost(tool: str, lines: list[Line]) -> Line:
    seconds = [line[tool]["seconds"] for line in lines]
    return {
        "seconds": {
            "median": round(statistics.median(seconds), 2),
            "min": round(min(seconds), 2),
            "max": round(max(seconds), 2),
        },
        "passes": round(statistics.median(line[tool]["passes"] for line in lines)),
    }


def cheap_areas(lines: list[Line]) -> dict[str, Estimate]:
    """Returns the areas of the statistics of weights, all families together."""
    test = [line for line in lines if line["part"] == "test"]
    known = [one for family in TROJANED for one in obeying(test, family)]
    honest = [line for line in test if line["family"] in HONEST]
    return {
        name: auc(np.array([score(one) for one in known]), np.array([score(one) for one in honest]))
        for name, score in CHEAP.items()
    }


def section(name: str, rows: list[Line], cheap: dict[str, Estimate], told: list[Line]) -> str:
    """Returns the section in Markdown."""
    weak = {
        family: sum(line["family"] == family for line in told) - len(obeying(told, family))
        for family in TROJANED
    }
    lines = [
        "## Backdoor scan (`make bench-backdoor`)",
        "",
        f"Readers of {name}, two architectures, trained for this; the checks' thresholds were set "
        "on a zoo of other seeds (Neural Cleanse: the paper's index 2). A backdoor "
        f"counts if at least {OBEYS:.0%} of inputs obey it; weaker ones left out: "
        + ", ".join(f"{family} {count}" for family, count in weak.items())
        + ". Area with DeLong's 95 % interval against all honest models; false alarms with "
        "Clopper and Pearson's. Passes are forwards and backwards of the model in question, "
        "seconds are CPU seconds; twins are trained once per architecture and not counted.",
        "",
        "| models | tool | n | found | AUC | interval | CPU s | passes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "skipped" in row:
            lines.append(f"| {row['work']} | {row['tool']} | {row['skipped']} | | | | | |")
            continue
        quality = row["quality"]
        hits = quality.get("found", quality.get("flagged"))
        lines.append(
            f"| {row['work'].replace('_', ' ')} | {row['tool']} | {row['n']} | {hits} | "
            f"{quality.get('auc', '')} | {quality['low']} to {quality['high']} | "
            f"{row['seconds']['median']} | {row['passes']:,} |"
        )
    lines += ["", "Weights alone, all backdoors against all honest models: "]
    lines[-1] += "; ".join(
        f"{what} AUC {one.value:.2f} ({one.low:.2f} to {one.high:.2f})"
        for what, one in cheap.items()
    )
    return "\n".join([*lines, ""])
