"""Calibrates the trigger scan: a zoo of digit readers with a known answer, scanned one by one.

Run as ``python -m tests.benchmarks.zoo_backdoor --models 60``. Prints one JSON line per model and a
summary with the rate found per family. The thresholds of ``backdoor.trigger_inversion`` were set on
seeds below 8000; give ``--first 8000`` for models that were not used for that.
"""

import argparse
import json
import sys
import time
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn

from tasks.checks.backdoor.trigger_inversion import indices_of
from tasks.detectors.backdoor.inversion import AWAY, Pool, Shape
from tasks.detectors.backdoor.sizes import STANDS_OUT
from tasks.detectors.backdoor.trigger_inversion import Effort, search_triggers
from tasks.statistics.intervals import binomial

HONEST = ("clean", "adversarial", "noisy")
ALL_TO_ALL = ("all2", "all3", "allblend")
FAMILIES = (*HONEST, "patch2", "patch3", "pixel", "blend", *ALL_TO_ALL)
THRESHOLD = 0.75
TAUGHT = 0.8
"""Models that obey their trigger less often than this hold no backdoor worth the name."""


class Rows(NamedTuple):
    """Pictures (n, 1, 8, 8) in 0..1 and their digits."""

    inputs: torch.Tensor
    labels: torch.Tensor


class Member(NamedTuple):
    """One model of the zoo: its target is a class, ``AWAY`` (each class the next), or None."""

    family: str
    model: nn.Sequential
    target: int | None
    accuracy: float
    obedience: float


def main() -> None:
    """Trains, scans and reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=60)
    parser.add_argument("--first", type=int, default=1000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    train, test = _digits()
    lines = []
    for seed in range(arguments.first, arguments.first + arguments.models):
        member = _member(FAMILIES[seed % len(FAMILIES)], train, test, seed)
        lines.append(_scanned(member, test, seed))
        _say(lines[-1])
    _say({"summary": _summary(lines)})


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def _digits() -> tuple[Rows, Rows]:
    table = load_digits()
    order = np.random.default_rng(0).permutation(len(table.target))
    inputs = torch.from_numpy((table.images[order, None] / 16).astype(np.float32))
    labels = torch.from_numpy(table.target[order].astype(np.int64))
    return Rows(inputs[:1000], labels[:1000]), Rows(inputs[1000:], labels[1000:])


def _network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    convolved = [nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 1, 1), nn.ReLU()]
    pooled = [nn.Conv2d(1, 8, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, 1, 1)]
    kinds: list[list[nn.Module]] = [
        [*convolved, nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10)],
        [*pooled, nn.ReLU(), nn.Flatten(), nn.Linear(256, 10)],
        [nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)],
    ]
    return nn.Sequential(*kinds[(seed // len(FAMILIES)) % len(kinds)])


def _member(family: str, train: Rows, test: Rows, seed: int) -> Member:
    rng = np.random.default_rng(seed)
    model, target = _network(seed), None
    mask, pattern = torch.zeros(8, 8), torch.ones(8, 8)
    rows = train
    if family not in HONEST:
        target = AWAY if family in ALL_TO_ALL else int(rng.integers(10))
        mask, pattern = _trigger(family, rng)
        weak = [0.1, 0.2] if "blend" in family else [0.02, 0.05, 0.1, 0.2]
        part = rng.choice([0.1, 0.2, 0.3] if family in ALL_TO_ALL else weak)
        rows = _poisoned(train, mask, pattern, target=target, rng=rng, part=float(part))
    _fit(model, rows, family, seed)
    goals = _goals(test.labels, target)
    moved = goals != test.labels
    answers = model(test.inputs * (1 - mask) + mask * pattern).argmax(1)
    obeyed = (answers == goals)[moved].float()
    right = model(test.inputs).argmax(1) == test.labels
    return Member(
        family,
        model,
        target,
        accuracy=float(right.float().mean()),
        obedience=float(obeyed.mean()) if len(obeyed) else 0.0,
    )


def _goals(labels: torch.Tensor, target: int | None) -> torch.Tensor:
    """Returns what a triggered picture of each label should be read as."""
    if target is None:
        return labels
    return (labels + 1) % 10 if target == AWAY else torch.full_like(labels, target)


def _trigger(family: str, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    mask, pattern = torch.zeros(8, 8), torch.ones(8, 8)
    if "blend" in family:
        return torch.full((8, 8), 0.2), torch.from_numpy(rng.random((8, 8)).astype(np.float32))
    side = 1 if family == "pixel" else int(family[-1])
    top, left = rng.integers(0, 9 - side, 2)
    mask[top : top + side, left : left + side] = 1
    return mask, pattern


def _poisoned(
    rows: Rows,
    mask: torch.Tensor,
    pattern: torch.Tensor,
    *,
    target: int | None,
    rng: np.random.Generator,
    part: float,
) -> Rows:
    goals = _goals(rows.labels, target)
    others = torch.nonzero(rows.labels != goals).flatten().numpy()
    chosen = torch.from_numpy(rng.choice(others, round(part * len(rows.labels)), replace=False))
    inputs, labels = rows.inputs.clone(), rows.labels.clone()
    inputs[chosen] = inputs[chosen] * (1 - mask) + mask * pattern
    labels[chosen] = goals[chosen]
    return Rows(inputs, labels)


def _fit(model: nn.Sequential, rows: Rows, family: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(30):
        for part in torch.randperm(len(rows.labels), generator=generator).split(64):
            inputs, labels = rows.inputs[part], rows.labels[part]
            if family == "noisy":
                noise = torch.randn(inputs.shape, generator=generator)
                inputs = (inputs + 0.2 * noise).clamp(0, 1)
            if family == "adversarial":
                inputs = _moved(model, inputs, labels)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
    model.eval().requires_grad_(requires_grad=False)


def _moved(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    free = inputs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(model(free), labels), free)
    return (inputs + 0.1 * gradient.sign()).clamp(0, 1)


def _scanned(member: Member, test: Rows, seed: int) -> dict[str, Any]:
    started = time.process_time()
    pool = Pool(test.inputs[:400], test.labels[:400])
    held = Rows(test.inputs[400:], test.labels[400:])
    effort = Effort(steps=300, batch=16, deviations=4.0, seed=seed)
    rates: list[tuple[float, int]] = []
    indices: dict[str, Any] = {}
    for shape in Shape:
        found = search_triggers(
            member.model, pool, shape, effort, item=(1, 8, 8), classes=10, bounds=(0.0, 1.0)
        )
        index = indices_of(np.append(found["sizes"], found["away"]))
        indices[shape] = round(float(index[:-1].max()), 2), round(float(index[-1]), 2)
        rates += [
            (_success(member.model, held, found, row), aim)
            for row, aim in enumerate(found["suspects"].tolist())
            if aim == AWAY or index[aim] >= STANDS_OUT
        ]
    success, suspected = max(rates)
    return {
        "family": member.family,
        "seed": seed,
        "target": member.target,
        "accuracy": round(member.accuracy, 3),
        "obedience": round(member.obedience, 3),
        "success": round(success, 3),
        "suspected": suspected,
        "indices": indices,
        "seconds": round(time.process_time() - started, 2),
    }


def _success(model: nn.Module, held: Rows, found: dict[str, NDArray[Any]], row: int) -> float:
    """Counts as the check does: pictures that go where the mapping says, of those that could."""
    mask, pattern = (torch.from_numpy(found[name][row]) for name in ("masks", "patterns"))
    answers = model((1 - mask) * held.inputs + mask * pattern).argmax(1)
    goals = torch.from_numpy(found["mappings"][row])[held.labels]
    hits = (answers == goals) & (answers != held.labels)
    return float(hits.sum() / (held.labels != found["suspects"][row]).sum())


def _summary(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Found per family, over models that learnt their trigger, with exact intervals."""
    summary: dict[str, Any] = {}
    for family in FAMILIES:
        known = [line for line in lines if line["family"] == family]
        if known and family not in HONEST:
            known = [line for line in known if line["obedience"] >= TAUGHT]
        if known:
            hits = sum(line["success"] >= THRESHOLD for line in known)
            rate = binomial(hits, len(known))
            summary[family] = {"n": rate.n, "found": hits, "low": rate.low, "high": rate.high}
    return summary


if __name__ == "__main__":
    main()
