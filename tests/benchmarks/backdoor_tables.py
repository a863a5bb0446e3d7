"""From scanned models to the section of ``README.md``: areas, false alarms, cost per family."""

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from tasks.checks.backdoor.suspects import FOUND
from tasks.checks.backdoor.trigger_inversion import SUSPICIOUS_MAPPING
from tasks.detectors.backdoor.inversion import AWAY
from tasks.detectors.backdoor.pair_sizes import STANDS_OUT as TWIN_STANDS_OUT
from tasks.detectors.backdoor.pair_sizes import hidden_indices
from tasks.detectors.backdoor.sizes import STANDS_OUT as UNIVERSAL_STANDS_OUT
from tasks.detectors.backdoor.sizes import STANDS_OUT_BY
from tasks.domain.estimate import Estimate
from tasks.statistics.intervals import binomial
from tasks.statistics.roc import auc
from tests.benchmarks.backdoor_zoo import HONEST, OBEYS, TRANSFORMED, TROJANED

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
    """Returns what patches and overlays show."""
    return _score(line["trigger_inversion"], ("patch", "blend"), FOUND / SUSPICIOUS_MAPPING)


def transform_score(line: Line) -> float:
    """Returns what bendings and filters show."""
    return _score(line["transform_inversion"], ("warp", "tone"), 1.0)


def _score(line: Line, shapes: Sequence[str], mapping: float) -> float:
    """Returns the best success below the limit of a class that stands out, or of a mapping.

    The latter times ``mapping``, so that it is ``FOUND`` where the check no longer passes a model.
    """
    best = 0.0
    for shape in shapes:
        told = line[shape]
        indices = hidden_indices(np.array(told["indices"]), np.array(told["transfer"])).tolist()
        for aim, index, success in zip(told["suspects"], indices, told["success"], strict=True):
            if aim == AWAY:
                best = max(best, success * mapping)
            else:
                counts = index >= STANDS_OUT_BY.get(shape, UNIVERSAL_STANDS_OUT)
                best = max(best, (success if counts else 0) + max(0.0, index) / 1000)
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


def any_score(line: Line) -> float:
    """Returns the largest of the checks' scores, each as a part of its threshold."""
    return max(SCORES[check](line) / THRESHOLDS[check] for check in CHECKS)


CHECKS = ("trigger_inversion", "twin_inversion", "transform_inversion")
SCORES = {
    "trigger_inversion": universal_score,
    "twin_inversion": twin_score,
    "transform_inversion": transform_score,
    "any check": any_score,
    "neural_cleanse": cleanse_score,
}
THRESHOLDS = {
    "trigger_inversion": FOUND,
    "twin_inversion": TWIN_STANDS_OUT,
    "transform_inversion": FOUND,
    "any check": 1.0,
    "neural_cleanse": 2.0,
}
"""The checks' own, set on the calibration zoo and before; the paper's."""
CHEAP = {"channel norms": channel_score, "last layer": last_layer_score}


def obeying(lines: list[Line], family: str) -> list[Line]:
    """Returns the models of a family whose trigger works."""
    return [line for line in lines if line["family"] == family and line["obedience"] >= OBEYS]


def summary(lines: list[Line]) -> list[Line]:
    """Returns one row per tool and family of the test zoo, as ``results/backdoor.json`` has it."""
    test = [line for line in lines if line["part"] == "test"]
    both = [line for line in test if "neural_cleanse" in line]
    rows = [row for tool in THRESHOLDS for row in _rows(tool, test, "")]
    if 0 < len(both) < len(test):  # the peer was not run everywhere: its models once more, alone
        rows += [
            row
            for tool in SCORES
            for row in _rows(tool, both, " (the peer's models)")
            if row["work"].startswith(("all backdoors", "honest")) and tool != "neural_cleanse"
        ]
    return rows


def _rows(tool: str, lines: list[Line], remark: str) -> list[Line]:
    needed = CHECKS if tool == "any check" else (tool,)
    test = [line for line in lines if all(one in line for one in needed)]
    honest = [line for line in test if line["family"] in HONEST]
    families = {family: obeying(test, family) for family in (*TROJANED, *TRANSFORMED)}
    families["all backdoors"] = [one for known in families.values() for one in known]
    if not honest:
        return [{"work": "all backdoors", "tool": tool, "skipped": "not run"}]
    clean, threshold = np.array([SCORES[tool](line) for line in honest]), THRESHOLDS[tool]
    rows = [
        {"work": family + remark, "tool": tool, "n": len(known)}
        | {"quality": _quality(np.array(list(map(SCORES[tool], known))), clean, threshold)}
        | _cost(tool, known)
        for family, known in families.items()
        if known
    ]
    alarms = int((clean >= threshold).sum())
    quality = {"flagged": alarms, **_interval(binomial(alarms, len(clean)))}
    rows.append(
        {"work": "honest models" + remark, "tool": tool, "n": len(clean), "quality": quality}
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
    tools = CHECKS if tool == "any check" else (tool,)
    seconds = [sum(line[one]["seconds"] for one in tools) for line in lines]
    passes = [sum(line[one]["passes"] for one in tools) for line in lines]
    return {
        "seconds": {
            "median": round(statistics.median(seconds), 2),
            "min": round(min(seconds), 2),
            "max": round(max(seconds), 2),
        },
        "passes": round(statistics.median(passes)),
    }


def cheap_areas(lines: list[Line]) -> dict[str, Estimate]:
    """Returns the areas of the statistics of weights, all families together."""
    test = [line for line in lines if line["part"] == "test"]
    known = [one for family in (*TROJANED, *TRANSFORMED) for one in obeying(test, family)]
    honest = [line for line in test if line["family"] in HONEST]
    return {
        name: auc(np.array([score(one) for one in known]), np.array([score(one) for one in honest]))
        for name, score in CHEAP.items()
    }


def full_rows(lines: list[Line]) -> list[Line]:
    """Returns one row per full-size reader and check, as ``results/backdoor.json`` has it."""
    return [
        _row(line, f"{line['pictures']}, {line['family']}, seed {line['seed']}")
        | {"accuracy": line["accuracy"], "obedience": line["obedience"]}
        for line in lines
    ]


def public_rows(lines: list[Line]) -> list[Line]:
    """Returns one row per public model and check, as ``results/backdoor.json`` has it."""
    return [
        (row := _row(line, line["model"])) | {"quality": row["quality"] | {"known": line["known"]}}
        for line in lines
    ]


def _row(line: Line, work: str) -> Line:
    told = ("outcome", "success", "index", "source", "target", "held")
    return {
        "work": work,
        "tool": f"{line['check']} {line['version']}",
        "n": 1,
        "seconds": dict.fromkeys(("median", "min", "max"), round(line["seconds"], 1)),
        "passes": line["passes"],
        "quality": {name: line[name] for name in told},
    }


def section(zoos: dict[str, list[Line]], full: list[Line], public: list[Line]) -> str:
    """Returns the section in Markdown: a table per zoo, one of full-size readers, one of public."""
    about = (
        "Small readers in up to two architectures, trained for this; the checks' thresholds were "
        "set on zoos of other seeds (Neural Cleanse: the paper's index 2), that of filters "
        "after the test zoo had been seen (tasks/detectors/README.md). A backdoor "
        f"counts if at least {OBEYS:.0%} of inputs obey it. "
        "Area with DeLong's 95 % interval against all honest models; false alarms with "
        "Clopper and Pearson's. Passes are forwards and backwards of the model in question, "
        "seconds are CPU seconds; twins are trained once per architecture and not counted."
    )
    lines = ["## Backdoor scan (`make bench-backdoor`)", "", about]
    for name, told in zoos.items():
        lines += ["", f"### {name}", "", *_zoo(told)]
    if full:
        lines += ["", "### Full-size readers", "", *_full(full)]
    if public:
        lines += ["", "### Public models", "", *_public(public)]
    return "\n".join([*lines, ""])


def _zoo(told: list[Line]) -> list[str]:
    lines = [
        "| models | tool | n | found | AUC | interval | CPU s | passes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in summary(told):
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
    test = [line for line in told if line["part"] == "test"]
    weak = {
        family: sum(line["family"] == family for line in test) - len(obeying(test, family))
        for family in (*TROJANED, *TRANSFORMED)
    }
    areas = "; ".join(
        f"{what} AUC {one.value:.2f} ({one.low:.2f} to {one.high:.2f})"
        for what, one in cheap_areas(told).items()
    )
    return [
        *lines,
        "",
        "Left out, too weak: " + ", ".join(f"{family} {count}" for family, count in weak.items())
        + f". Weights alone, all backdoors against all honest models: {areas}.",
    ]  # fmt: skip


def _full(lines: list[Line]) -> list[str]:
    about = (
        "Readers of whole pictures in the public models' architecture, trained for this after the "
        "thresholds were set; on those marked * it was chosen that open all-to-all triggers are "
        "counted on the pictures read most surely. The checks as they are, controls and twins "
        "included. Reads: part of "
        "2,000 test pictures; obeys: part of those read rightly that the true trigger sends where "
        "it should. Each check says what its finding says, and how often its worst trigger works; "
        "versions 5 and 6 of trigger_inversion differ only where an all-to-all trigger is open, "
        "versions 3 and 4 of twin_inversion in the planted control, without which nothing passes."
    )
    told = [
        about,
        "",
        "| pictures | backdoor | reads | obeys | trigger_inversion | twin_inversion | CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    models: dict[tuple[str, int], list[Line]] = {}
    for line in sorted(lines, key=lambda line: (line["pictures"], line["family"], line["seed"])):
        models.setdefault((line["pictures"], line["seed"]), []).append(line)
    for (pictures, _), checks in models.items():
        says = {one["check"]: one for one in checks}
        first, seconds = checks[0], [f"{one['seconds']:.0f}" for one in checks]
        obeys = "" if first["family"] == "honest" else f"{first['obedience']:.2f}"
        cells = [
            pictures, first["family"] + " *" * first["seen"], f"{first['accuracy']:.2f}", obeys,
            *(_says(says.get(name)) for name in CHECKS[:2]), ", ".join(seconds),
        ]  # fmt: skip
        told.append(f"| {' | '.join(cells)} |")
    return told


def _says(line: Line | None) -> str:
    if line is None:
        return "not run"
    told: str = line["outcome"]
    if told != "pass":
        aim = line["target"]
        told += ", each to another" if aim is None else f", {_way(line['source'], aim)}"
    return f"{told} ({line['success'][0]:.2f}), v{line['version']}"


def _public(lines: list[Line]) -> list[str]:
    about = (
        "The checks as they are, controls and twins included. These models were looked at while "
        "the checks were written: calibration, not evidence. Success is that of the worst trigger "
        "on held-out pictures; honest models have none that counts."
    )
    told = [
        about,
        "",
        "| model | known | check | says | index | success | CPU s | passes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        value, low, high = line["success"]
        told.append(
            f"| {line['model']} | {_known(line['known'])} | {line['check']} {line['version']} | "
            f"{line['outcome']}, {_way(line['source'], line['target'])} | {line['index']:.1f} | "
            f"{value:.2f} ({low:.2f} to {high:.2f}) | {line['seconds']:.0f} | "
            f"{line['passes']:,} |"
        )
    return told


def _way(source: int | None, target: int | None) -> str:
    if target is None:
        return "no one class"
    return f"{'all' if source is None else source} to {target}"


def _known(told: dict[str, int | None]) -> str:
    return "honest" if told["target"] is None else _way(told["source"], told["target"])
