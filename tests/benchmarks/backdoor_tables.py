"""From scanned models to the section of ``README.md``: areas, false alarms, cost per family."""

import statistics
from typing import Any

import numpy as np

from tasks.checks.backdoor.trigger_inversion import FOUND, SUSPICIOUS_MAPPING
from tasks.detectors.backdoor.sizes import STANDS_OUT as UNIVERSAL_STANDS_OUT
from tasks.detectors.backdoor.trigger_inversion import AWAY
from tasks.domain.estimate import Estimate
from tasks.statistics.intervals import binomial
from tasks.statistics.roc import auc
from tests.benchmarks.backdoor_zoo import HONEST, OBEYS, TROJANED

Line = dict[str, Any]
OFTEN = 0.05
"""Share of honest calibration models that a tool's threshold may pass."""
NOTHING = -9.0
"""The score of a model in which a tool finds no trigger that works at all."""


def twin_score(line: Line) -> float:
    """Returns the largest index of a trigger; a move of all classes must also follow a mapping."""
    told = line["twin_inversion"]
    rows = zip(told["suspects"], told["indices"], told["success"], strict=True)
    return max(
        index if aim != AWAY or success >= SUSPICIOUS_MAPPING else NOTHING
        for (_, aim), index, success in rows
    )


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
    return float(line["neural_cleanse"]["index"])


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
CHEAP = {"channel norms": channel_score, "last layer": last_layer_score}


def threshold_of(tool: str, calibration: list[Line]) -> float:
    """Returns the paper's threshold, the gate's, or that few honest calibration models pass."""
    if tool == "neural_cleanse":
        return 2.0
    if tool == "trigger_inversion":
        return FOUND
    honest = np.array([twin_score(line) for line in calibration if line["family"] in HONEST])
    return float(np.quantile(honest, 1 - OFTEN, method="higher"))


def obeying(lines: list[Line], family: str) -> list[Line]:
    """Returns the models of a family whose trigger works."""
    return [line for line in lines if line["family"] == family and line["obedience"] >= OBEYS]


def summary(lines: list[Line], thresholds: dict[str, float]) -> list[Line]:
    """Returns one row per tool and family of the test zoo, as ``results/backdoor.json`` has it."""
    test = [line for line in lines if line["part"] == "test"]
    honest = [line for line in test if line["family"] in HONEST]
    rows = []
    for tool, threshold in thresholds.items():
        score = SCORES[tool]
        clean = np.array([score(line) for line in honest])
        for family in (*TROJANED, "all"):
            known = (
                [one for each in TROJANED for one in obeying(test, each)]
                if family == "all"
                else obeying(test, family)
            )
            if known:
                found = np.array([score(line) for line in known])
                rows.append(
                    {"work": family, "tool": tool, "n": len(found)}
                    | {"quality": _quality(found, clean, threshold)}
                    | _cost(tool, known)
                )
        alarms = int((clean >= threshold).sum())
        rows.append(
            {
                "work": "false alarms",
                "tool": tool,
                "n": len(clean),
                "quality": {"flagged": alarms, **_interval(binomial(alarms, len(clean)))},
                **_cost(tool, test),
            }
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
        f"Readers of {name}, three architectures, trained for this; thresholds come from a zoo of "
        "other seeds (Neural Cleanse: the paper's index 2). A backdoor counts if at least "
        f"{OBEYS:.0%} of inputs obey it; weaker ones left out: "
        + ", ".join(f"{family} {count}" for family, count in weak.items())
        + ". Area with DeLong's 95 % interval against all honest models; false alarms with "
        "Clopper and Pearson's. Passes are forwards and backwards of the model in question, "
        "seconds are CPU seconds; twins are trained once per architecture and not counted.",
        "",
        "| models | tool | n | found | AUC | interval | CPU s | passes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
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
