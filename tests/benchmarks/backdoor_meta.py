"""The meta classifier on the zoo of small readers: ``python -m tests.benchmarks.backdoor_meta``.

Queries, shadows and what reads the answers are made once per architecture here, as they do not
depend on the model in question; a check makes its own. What was chosen was chosen on the
calibration zoo; the test zoo has other seeds. Prints one table per zoo and kind of pictures.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.checks.backdoor.meta_classifier import Child, placed_among
from tasks.detectors.backdoor.meta_classifier import meta_classifier
from tasks.detectors.backdoor.meta_scores import Meta, scores_by_fold, unseen_scores
from tasks.statistics.intervals import binomial
from tasks.statistics.roc import auc
from tests.benchmarks.backdoor_zoo import (
    ARCHITECTURES,
    BOUNDS,
    CLASSES,
    HONEST,
    OBEYS,
    PICTURES,
    TROJANED,
    Data,
    Member,
    data,
    members,
    network,
)
from tests.benchmarks.bench_backdoor import plan, standard

EFFORT = ("shadow_models", "steps", "queries", "epochs")


class Stranger(NamedTuple):
    """A target of known architecture, whose weights nobody looks at."""

    module: torch.nn.Module
    input_shape: tuple[int, ...]
    bounds: tuple[float, float] = BOUNDS
    classes: int = CLASSES


class Line(NamedTuple):
    """What the check says of one model, and how often the model is wrong, which needs no check."""

    member: Member
    distance: float
    is_odd: bool
    errors: float


def learnt_child(told: Data, architecture: str, seed: int) -> Child:
    """Trains shadows and meta classifiers for one architecture, as the check's child does."""
    item = tuple(told.search.inputs.shape[1:])
    parameters = standard("meta_classifier")
    reply = meta_classifier(
        Stranger(network(architecture, item), item),  # type: ignore[arg-type]  # all that is read
        inputs=told.search.inputs.numpy(),
        labels=told.search.labels.numpy(),
        seed=seed,
        **{name: int(parameters[name]) for name in EFFORT},
    )
    return child_of(reply.arrays)


def child_of(arrays: Mapping[str, NDArray[Any]]) -> Child:
    """Reads a child's arrays as the check does."""
    metas = Meta(*(arrays[name] for name in Meta._fields))
    return Child(
        metas, *(arrays["fold" if name == "folds" else name] for name in Child._fields[1:])
    )


def scored(member: Member, child: Child, told: Data) -> Line:
    """Asks one model the queries of every fold."""
    folds, queries = child.queries.shape[:2]
    with torch.no_grad():
        answers = member.model(torch.from_numpy(child.queries).flatten(0, 1)).numpy()
        errors = float(
            (member.model(told.search.inputs).argmax(1) != told.search.labels).float().mean()
        )
    scores = scores_by_fold(child.metas, answers.reshape(folds, 1, queries, CLASSES))[:, 0]
    own = unseen_scores(child.metas, child.folds, child.answers)
    placed = placed_among(scores, own, child)
    return Line(member, placed.distance, placed.is_odd, errors)


def table(lines: Sequence[Line]) -> list[str]:
    """Returns one row per family: n, kept from passing, area under the curve against all honest."""
    honest = [line for line in lines if line.member.family in HONEST]
    rows = []
    for family in (*TROJANED, "all backdoors", "all that are obeyed", *HONEST, "all honest"):
        some = [line for line in lines if _is_of(line.member, family)]
        odd = binomial(sum(line.is_odd for line in some), len(some))
        row = f"| {family} | {len(some)} | {odd.value:.0%} ({odd.low:.0%} to {odd.high:.0%}) |"
        if family not in HONEST and family != "all honest":
            for what in ("distance", "errors"):
                area = auc(_column(some, what), _column(honest, what))
                row += f" {area.value:.2f} ({area.low:.2f} to {area.high:.2f}) |"
        rows.append(row)
    return rows


def _is_of(member: Member, family: str) -> bool:
    bad = member.family in TROJANED
    whole = {
        "all backdoors": bad,
        "all that are obeyed": bad and member.obedience >= OBEYS,
        "all honest": not bad,
    }
    return whole.get(family, member.family == family)


def _column(lines: Sequence[Line], what: str) -> NDArray[np.float64]:
    return np.array([getattr(line, what) for line in lines])


def main() -> None:
    """Trains, asks, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", choices=PICTURES, default="mnist")
    parser.add_argument("--part", choices=("calibration", "test"), default="test")
    parser.add_argument("--seed", type=int, default=1, help="of the shadows")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    told = data(arguments.pictures)
    lines: list[Line] = []
    for architecture in ARCHITECTURES:
        started = time.process_time()
        child = learnt_child(told, architecture, arguments.seed)
        seconds = time.process_time() - started
        planned = [
            one for one in plan(arguments.part, arguments.pictures) if one[1] == architecture
        ]
        lines += [scored(member, child, told) for member in members(told, planned)]
        sys.stdout.write(f"{architecture}: {seconds:.0f} CPU seconds for shadows and queries\n")
    head = "| family | n | kept from passing | AUC | AUC of errors alone |\n|---|---|---|---|---|\n"
    sys.stdout.write(head + "\n".join(table(lines)) + "\n")


if __name__ == "__main__":
    main()
