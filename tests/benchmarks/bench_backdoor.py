"""The searches for triggers and plain Neural Cleanse on one zoo: ``make bench-backdoor``.

The checks' thresholds were set on a calibration zoo; the test zoo has other seeds. Every
scanned model is a line of ``--work FILE``, so that a run that was stopped goes on where it was.
The twins are trained once per architecture here, as a bank of twins would; a check trains its own.
Full-size readers and the public models are scanned by the checks as they are, twins and all.
Writes ``results/backdoor.json`` and the section in ``README.md``.
"""

import argparse
import itertools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tasks.catalog.reading import Catalog
from tasks.catalog.resolving import resolve_parameters
from tasks.checks.backdoor.suspects import indices_of
from tasks.detectors.backdoor import controls
from tasks.detectors.backdoor.inversion import Pool, Shape, painted
from tasks.detectors.backdoor.pair_search import (
    Searched,
    as_matrix,
    jobs_of,
    rightly_read,
    smallest,
)
from tasks.detectors.backdoor.pair_sizes import log_ratios, pair_indices, scale_of
from tasks.detectors.backdoor.trigger_inversion import Effort as UniversalEffort
from tasks.detectors.backdoor.trigger_inversion import search_triggers
from tasks.detectors.backdoor.twin_inversion import AGAIN, Case, Effort, examined
from tasks.detectors.backdoor.weight_statistics import weight_statistics
from tests.benchmarks import backdoor_full_size as full_size
from tests.benchmarks.backdoor_public import CHECKS, MODELS
from tests.benchmarks.backdoor_public import examined as examined_public
from tests.benchmarks.backdoor_tables import full_rows, public_rows, section, summary
from tests.benchmarks.backdoor_zoo import (
    ARCHITECTURES,
    BOUNDS,
    CLASSES,
    HONEST,
    PICTURES,
    STACK,
    TRANSFORMED,
    TROJANED,
    Data,
    Member,
    data,
    members,
    network,
)
from tests.benchmarks.neural_cleanse import neural_cleanse
from tests.benchmarks.tables import write_section


def standard(check: str) -> dict[str, Any]:
    """Returns a check's parameters at the standard strength."""
    return resolve_parameters(Catalog().check(f"backdoor.{check}"), {})


_PAIRS, _CLASSES = standard("twin_inversion"), standard("trigger_inversion")
STEPS, PAIR_BATCH = int(_PAIRS["steps"]), int(_PAIRS["batch"])
UNIVERSAL = UniversalEffort(
    int(_CLASSES["steps"]), int(_CLASSES["batch"]), float(_CLASSES["deviations"]), seed=0
)
SEARCHES = {
    "trigger_inversion": ((Shape.PATCH, Shape.BLEND), UNIVERSAL),
    "transform_inversion": ((Shape.WARP, Shape.TONE), UNIVERSAL),
}
SCANNERS = ("twin_inversion", *SEARCHES, "weights", "neural_cleanse")
PAIRS = [(one, other) for one in range(CLASSES) for other in range(CLASSES) if one != other]
RESULTS = Path(__file__).with_name("results") / "backdoor.json"
PARTS = ("calibration", "test", "full", "public")
Line = dict[str, Any]


class Counted(nn.Module):
    """Counts the pictures that a model reads."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.forwards = model, 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.forwards += len(inputs)
        scores: torch.Tensor = self.model(inputs)
        return scores


def plan(part: str, pictures: str) -> list[tuple[str, str, int]]:
    """Returns (family, architecture, seed) of a zoo's models: seeds of no two zoos meet."""
    first, trojaned, honest = {"calibration": (10_000, 4, 10), "test": (20_000, 10, 20)}[part]
    if pictures == "cifar":  # in colour everything takes three times as long
        first, trojaned, honest = first + 50_000, trojaned // 2, honest // 2
    counts = dict.fromkeys(TROJANED, trojaned) | dict.fromkeys(HONEST, honest // 2)
    counts["clean"] = 2 * honest
    counts |= dict.fromkeys(TRANSFORMED, trojaned)
    return [
        (family, ARCHITECTURES[one % len(ARCHITECTURES)], first + 100 * place + one)
        for place, (family, count) in enumerate(counts.items())
        for one in range(count)
    ]


def twins_of(told: Data, architecture: str) -> list[Case]:
    """Returns two honest twins, searched."""
    shape = network(architecture, tuple(told.search.inputs.shape[1:]))
    made = []
    for seed in (1, 2):
        twin = controls.honest(shape, Pool(*told.search), CLASSES, seed=seed)
        made.append(_case(twin.module, told))
    return made


def _case(model: nn.Module, told: Data) -> Case:
    pool = rightly_read(model, Pool(*told.search), CLASSES)
    searched = Searched(model, pool, tuple(told.search.inputs.shape[1:]), BOUNDS)
    found = smallest(searched, jobs_of(PAIRS), steps=STEPS, batch=PAIR_BATCH, seed=0)
    return Case(searched, as_matrix(PAIRS, found.sizes, CLASSES))


def against_twins(model: Counted, told: Data, twins: list[Case]) -> Line:
    """Runs ``backdoor.twin_inversion``'s search and counting."""
    started = time.process_time()
    case = _case(model, told)._replace(twins=twins)
    found = examined(case, AGAIN["target"], Effort(STEPS, PAIR_BATCH, 0))
    seconds, forwards = time.process_time() - started, model.forwards
    ratios = log_ratios(case.sizes, np.stack([twin.sizes for twin in twins]))
    scale = scale_of(ratios)
    indices = pair_indices(ratios, scale)
    return {
        "suspects": found["suspects"].tolist(),
        "indices": pair_indices(log_ratios(found["fine"], found["twins"]), scale).tolist(),
        "success": [_success(model, told, found, row) for row in range(len(found["suspects"]))],
        "transfer": found["transfer"].tolist(),
        "coarse": float(np.nanmax(indices)),
        "columns": np.nanmean(indices, axis=0).tolist(),
        "spread": scale.spread,
        "seconds": seconds,
        "passes": 2 * forwards,
    }


def universal(
    model: Counted, told: Data, twin: nn.Module, shapes: Sequence[Shape], effort: UniversalEffort
) -> Line:
    """Runs the search for these shapes and counts, beside one honest ``twin``."""
    line: Line = {"seconds": 0.0, "passes": 2 * len(told.search.labels)}
    pool = rightly_read(model, Pool(*told.search), CLASSES)
    for shape in shapes:
        started, before = time.process_time(), model.forwards
        found = search_triggers(
            model, pool, shape, effort,
            item=tuple(told.search.inputs.shape[1:]), classes=CLASSES, bounds=BOUNDS,
        )  # fmt: skip
        line["seconds"] += time.process_time() - started
        line["passes"] += 2 * (model.forwards - before)
        index = indices_of(np.append(found["sizes"], found["away"]))
        rows = range(len(found["suspects"]))
        line[shape.value] = {
            "suspects": found["suspects"].tolist(),
            "indices": [float(index[aim]) for aim in found["suspects"].tolist()],
            "success": [_success(model, told, found, row, shape) for row in rows],
            "transfer": [_success(twin, told, found, row, shape) for row in rows],
        }
    return line


def _success(
    model: nn.Module, told: Data, found: dict[str, Any], row: int, shape: Shape = Shape.PATCH
) -> float:
    """Counts as the checks do: rightly read pictures that go where the mapping says."""
    mask, pattern, mapping = (
        torch.from_numpy(found[name][row]) for name in ("masks", "patterns", "mappings")
    )
    inputs, labels = told.held
    goals = mapping[labels]
    with torch.no_grad():
        counts = (goals != labels) & (model(inputs).argmax(1) == labels)
        answers = model(painted(inputs, mask, pattern, BOUNDS, shape)).argmax(1)
    return float((answers == goals)[counts].float().mean())


def scanned(member: Member, told: Data, twins: list[Case], scanners: Sequence[str]) -> Line:
    """Returns what these scanners say of one model."""
    line: Line = {
        "family": member.family,
        "architecture": member.architecture,
        "seed": member.seed,
        "accuracy": member.accuracy,
        "obedience": member.obedience,
        "source": member.trigger.source if member.trigger else None,
        "target": member.trigger.target if member.trigger else None,
    }
    twin = twins[0].model.module
    model = Counted(member.model)
    if "twin_inversion" in scanners:
        line["twin_inversion"] = against_twins(Counted(member.model), told, twins)
    for check, (shapes, effort) in SEARCHES.items():
        if check in scanners:
            line[check] = universal(model, told, twin, shapes, effort)
    if "weights" in scanners:
        started = time.process_time()
        line["weights"] = weight_statistics(member.model, CLASSES)._asdict() | {
            "seconds": time.process_time() - started
        }
    if "neural_cleanse" in scanners:
        started = time.process_time()
        told_by = neural_cleanse(member.model, told.search.inputs, CLASSES, member.seed)
        line["neural_cleanse"] = told_by._asdict() | {
            "seconds": time.process_time() - started,
            "passes": 2 * told_by.forwards,
        }
    return line


def collect(
    pictures: str,
    part: str,
    work: Path,
    only: tuple[str, ...],
    scanners: Sequence[str],
    *,
    most: int,
) -> None:
    """Scans up to ``most`` models of a zoo and an architecture that ``work`` does not hold yet."""
    done = {line["seed"] for line in read(work) if all(one in line for one in scanners)}
    told = data(pictures)
    for architecture in only:
        planned = [one for one in plan(part, pictures) if one[1] == architecture]
        counts = Counter(family for family, _, _ in planned)
        # So that a run that is stopped early has its share of each family.
        planned.sort(key=lambda one: one[2] % 100 / counts[one[0]])
        wanted = [one for one in planned[:most] if one[2] not in done]
        twins = twins_of(told, architecture) if wanted else []
        for first in range(0, len(wanted), STACK):
            for member in members(told, wanted[first : first + STACK]):
                line = scanned(member, told, twins, scanners)
                append(work, line | {"part": part, "pictures": pictures})


def collect_public(work: Path) -> None:
    """Runs both checks on the public models that ``work`` does not hold yet."""
    done = {(line["model"], line["check"]) for line in read(work) if line["part"] == "public"}
    for name, check in itertools.product(MODELS, CHECKS):
        if (name, check) not in done:
            append(work, examined_public(name, check) | {"part": "public", "seed": -1})


def collect_full(pictures: str, work: Path) -> None:
    """Runs the checks of the standard battery on full-size readers that ``work`` does not hold."""
    lines = [line for line in read(work) if line["part"] == "full"]
    done = {(line["pictures"], line["seed"], line["check"]) for line in lines}
    for family, seed in full_size.plan(pictures):
        checks = [one for one in CHECKS[:2] if (pictures, seed, one) not in done]
        if not checks:
            continue
        made = full_size.trained(pictures, family, seed)
        for check in checks:
            line = full_size.examined(pictures, family, seed, made, check)
            append(work, line | {"part": "full"})


def append(work: Path, line: Line) -> None:
    """Adds a line to a run."""
    with work.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read(work: Path) -> list[Line]:
    """Returns the lines of a run so far; of one model's lines one, with what all of them say."""
    if not work.exists():
        return []
    lines: dict[object, Line] = {}
    for told in work.read_text(encoding="utf-8").splitlines():
        line = json.loads(told)
        key = (
            line["part"],
            line.get("pictures"),
            line["seed"],
            line.get("model"),
            line.get("check"),
        )
        lines[key] = lines.get(key, {}) | line
    return list(lines.values())


def write(lines: list[Line]) -> None:
    """Writes the rows and the section of ``README.md``."""
    full, public = ([one for one in lines if one["part"] == part] for part in ("full", "public"))
    small = [line for line in lines if line["part"] in {"calibration", "test"}]
    zoos = {
        data(pictures).name: [line for line in small if line["pictures"] == pictures]
        for pictures in dict.fromkeys(line["pictures"] for line in small)
    }
    rows = [row | {"pictures": name} for name, zoo in zoos.items() for row in summary(zoo)]
    rows += full_rows(full) + public_rows(public)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    write_section("backdoor", section(zoos, full, public))


def main() -> None:
    """Scans, fixes thresholds on one zoo, judges on the other, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("backdoor-zoo.jsonl"))
    parser.add_argument("--part", choices=PARTS, action="append", help="scan only this zoo")
    parser.add_argument("--pictures", choices=PICTURES, action="append", help="only of these")
    parser.add_argument("--architecture", choices=ARCHITECTURES, action="append")
    parser.add_argument("--most", type=int, default=1000, help="models of a zoo and architecture")
    parser.add_argument("--scanner", choices=SCANNERS, action="append", help="only these")
    parser.add_argument("--without-peer", action="store_true", help="no Neural Cleanse")
    parser.add_argument("--write", action="store_true", help="write only, from what is there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    larger = "PROOFHOUSE_TEST_DATA" in os.environ
    for pictures, part in itertools.product(
        arguments.pictures or (PICTURES[1:] if larger else PICTURES[:1]),
        [] if arguments.write else arguments.part or PARTS,
    ):
        if part == "public":
            continue
        if part == "full":
            if larger:
                collect_full(pictures, arguments.work)
            continue
        collect(
            pictures,
            part,
            arguments.work,
            tuple(arguments.architecture or ARCHITECTURES),
            tuple(
                one
                for one in arguments.scanner or SCANNERS
                if one != "neural_cleanse" or (part == "test" and not arguments.without_peer)
            ),
            most=arguments.most,
        )
    if larger and not arguments.write and "public" in (arguments.part or PARTS):
        collect_public(arguments.work)
    if arguments.write or not (arguments.part or arguments.architecture or arguments.pictures):
        write(read(arguments.work))
    sys.stdout.write(f"{len(read(arguments.work))} models in {arguments.work}\n")


if __name__ == "__main__":
    main()
