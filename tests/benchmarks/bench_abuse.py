"""Abuse monitors on imitated traffic: false alarms and time to detect, ``make bench-abuse``.

Writes ``results/abuse.json`` and the section in ``README.md``. Work ``digits`` trains its model
here; work ``mnist`` reads ``PROOFHOUSE_TEST_DATA``, and real arrival gaps come from there as well.
Calibration, evaluation and attacks share no client. The peer is PRADA's own rule (Shapiro-Wilk
below 0.95) on the same accounts.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from tasks.demo.digits import split_digits
from tasks.detectors.telemetry.calibration import Calibration
from tasks.detectors.telemetry.query_distances import seen_by_distances
from tasks.detectors.telemetry.scoring import block_scores
from tasks.detectors.telemetry.traffic import Client, Pool, bursty_gaps, honest_client
from tasks.detectors.telemetry.trail import BLOCK, Floats
from tasks.gateway.calibrating import imitated, kept_trail
from tasks.gateway.policy import Keeping
from tasks.gateway.telemetry import Features
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import binomial
from tests.benchmarks.abuse_traffic import ATTACKS, BARRED, COSTLY, Ground, mixed, scores_of, split
from tests.benchmarks.tables import write_section

FOLDER = Path(__file__).with_name("results")
BUDGET = 1e-3
FRESH = 1_000_000
"""Seeds of evaluation clients begin here, far from those of the calibration."""
PRADA_CLIENTS = 200
DISGUISED = ("HopSkipJump L2, disguised", "Jacobian augmentation, disguised")
INTRODUCTION = (
    "Monitors calibrated for 10 alarms per 10,000 accounts and week, then shown fresh honest "
    "accounts and attackers of 1,000 queries. `caught` within 500 queries; `queries` until the "
    "alarm (median and 90th percentile of those caught at all). Misses are rows like the others. "
    "PRADA is the published rule on the same questions."
)


def main() -> None:
    """Runs the works, or parts of them, and writes the rows beside those of earlier calls."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=6_200)
    parser.add_argument("--fresh", type=int, default=3_000)
    parser.add_argument("--attackers", type=int, default=20)
    parser.add_argument("--works", nargs="*", default=["digits", "mnist"])
    parser.add_argument("--parts", nargs="*", default=["honest", *ATTACKS, *DISGUISED])
    parser.add_argument("--calibrations", type=Path, help="Folder to keep calibrations in.")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data = os.environ.get("PROOFHOUSE_TEST_DATA", "")
    gaps = real_gaps(Path(data)) if data else bursty_gaps(0)
    for name in asked.works:
        if name == "mnist" and not data:
            keep([{"work": "mnist", "tool": "proofhouse", "skipped": "no test data"}])
            continue
        ground = digits_ground() if name == "digits" else mnist_ground(Path(data))
        bench, made = _begun(ground, gaps, asked.clients, asked.calibrations)
        keep(made)
        for part in asked.parts:
            keep(bench.part(part, gaps, asked.fresh, asked.attackers))


def keep(rows: list[dict[str, Any]]) -> None:
    """Writes rows in place of earlier ones about the same work, and the section anew."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / "abuse.json"
    kept: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    places = {(row["work"], row["tool"]): place for place, row in enumerate(kept)}
    for row in rows:
        print(line(row), flush=True)  # noqa: T201 - progress
        place = places.get((row["work"], row["tool"]))
        if place is None:
            kept.append(row)
        else:
            kept[place] = row
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    write_section("abuse", table(kept))


def _begun(
    ground: Ground, gaps: Floats, clients: int, folder: Path | None
) -> tuple["_Bench", list[dict[str, Any]]]:
    """Returns the calibrated bench, and the row about the calibration if it was made now."""
    span = ground.clients.high - ground.clients.low
    size = int(np.prod(ground.clients.inputs.shape[1:]))
    features = Features(Keeping(), bytes(32), size=size, span=span)
    path = folder / f"{ground.name}.json" if folder else None
    if path is not None and path.exists():
        return _Bench(ground, Calibration.parse(path.read_bytes()), features), []
    started = time.process_time()
    calibration = imitated(
        ground.clients,
        lambda inputs: scores_of(ground.network, inputs),
        features,
        accounts=clients,
        budget=BUDGET,
        seed=1,
        gaps=gaps,
    )
    if path is not None:
        path.write_bytes(calibration.canonical())
    bench = _Bench(ground, calibration, features)
    return bench, [_seconds(_row(ground, "calibration", clients, bench.promise()), started)]


class _Bench:
    """Asks the monitors about accounts of one work."""

    def __init__(self, ground: Ground, calibration: Calibration, features: Features) -> None:
        self.ground, self.calibration, self.features = ground, calibration, features

    def part(self, name: str, gaps: Floats, fresh: int, attackers: int) -> list[dict[str, Any]]:
        """Returns the rows of one part."""
        if name == "honest":
            started = time.process_time()
            return [_seconds(self.honest(gaps, fresh), started)]
        if name in DISGUISED:
            return self.disguised(name.removesuffix(", disguised"), max(1, attackers // 2))
        return self.attacked(name, attackers)

    def promise(self) -> dict[str, Any]:
        return {
            "threshold": round(self.calibration.threshold, 3),
            "promised_rate_below": round(self.calibration.bound, 6),
        }

    def honest(self, gaps: Floats, fresh: int) -> dict[str, Any]:
        """Counts false alarms among fresh clients, in all and by kind."""
        alarmed: dict[str, list[bool]] = {}
        for number in range(fresh):
            client = honest_client(self.ground.clients, gaps, FRESH + number)
            caught = self.alarm(client.inputs, client.times) is not None
            alarmed.setdefault(client.kind, []).append(caught)
        count = sum(sum(each) for each in alarmed.values())
        found = binomial(count, fresh)
        prada = [self.prada(c.inputs) is not None for c in self._clients(gaps, PRADA_CLIENTS)]
        quality = {
            "alarmed": count,
            "per_1000": round(1000 * count / fresh, 3),
            "per_1000_low": round(1000 * found.low, 3),
            "per_1000_high": round(1000 * found.high, 3),
            "kinds": {kind: f"{sum(each)}/{len(each)}" for kind, each in sorted(alarmed.items())},
            "prada_alarmed": f"{sum(prada)}/{len(prada)}",
        }
        return _row(self.ground, "honest accounts", fresh, quality)

    def attacked(self, attack: str, attackers: int) -> list[dict[str, Any]]:
        """Measures time to detect of one attack, and PRADA's on the same questions."""
        attackers = max(1, attackers // 4) if attack in COSTLY else attackers
        asked = [ATTACKS[attack](self.ground, seed) for seed in range(attackers)]
        prada = [self.prada(inputs) for inputs in asked]
        return [
            _row(self.ground, attack, attackers, _times([self.alarm(each) for each in asked])),
            {**_row(self.ground, attack, attackers, _times(prada)), "tool": "PRADA"},
        ]

    def disguised(self, attack: str, attackers: int) -> list[dict[str, Any]]:
        """Hides an attack among honest questions, slows it down, deals it to accounts."""
        honest, rows = self.ground.thieves.inputs, []
        asked = [ATTACKS[attack](self.ground, seed) for seed in range(attackers)]
        for share in (0.5, 0.9):
            hidden = [
                mixed(each, honest, share, np.random.default_rng([seed, 9]))
                for seed, each in enumerate(asked)
            ]
            name = f"{attack}, {share:.0%} honest"
            rows.append(self._row_of(name, [self.alarm(each) for each in hidden]))
        slow = [self.alarm(each, np.arange(0, 600.0 * len(each), 600)) for each in asked]
        rows.append(self._row_of(f"{attack}, one in ten minutes", slow))
        for accounts in (2, 5, 20):
            dealt = [[self.alarm(part) for part in split(each, accounts)] for each in asked]
            # In questions of the whole attack until the first of its accounts is alarmed.
            first = [min((at * accounts for at in each if at), default=None) for each in dealt]
            rows.append(self._row_of(f"{attack}, {accounts} accounts", first))
        return rows

    def alarm(self, inputs: Array, times: Floats | None = None) -> int | None:
        """Returns the query at which an account is alarmed, None if never."""
        when = np.arange(0.0, len(inputs)) if times is None else times
        trail = kept_trail(inputs, when, scores_of(self.ground.network, inputs), self.features)
        standing = self.calibration.standing(block_scores(trail, self.calibration.unit))
        if not len(standing):
            return None
        over = np.flatnonzero(standing.max(axis=1) > self.calibration.threshold)
        return int(over[0] + 1) * BLOCK if len(over) else None

    def prada(self, inputs: Array) -> int | None:
        """Returns the query at which PRADA's rule reports, None if never."""
        labels = scores_of(self.ground.network, inputs).argmax(axis=1).astype(np.int64)
        found: int | None = seen_by_distances(inputs, labels)["alarm_at"]
        return found

    def _clients(self, gaps: Floats, count: int) -> list[Client]:
        return [honest_client(self.ground.clients, gaps, FRESH + n) for n in range(count)]

    def _row_of(self, name: str, alarms: Sequence[int | None]) -> dict[str, Any]:
        return _row(self.ground, name, len(alarms), _times(alarms))


def _times(alarms: Sequence[int | None]) -> dict[str, Any]:
    caught = [at for at in alarms if at is not None]
    quality: dict[str, Any] = {
        "caught_within_500": f"{sum(at <= 500 for at in caught)}/{len(alarms)}",
        "caught_at_all": f"{len(caught)}/{len(alarms)}",
    }
    if caught:
        quality["median_queries"] = int(np.median(caught))
        quality["p90_queries"] = int(np.quantile(caught, 0.9))
    return quality


def _row(ground: Ground, work: str, n: int, quality: dict[str, Any]) -> dict[str, Any]:
    return {
        "work": f"{ground.name}: {work}", "tool": "proofhouse", "version": "1", "n": n,
        "barred": work in BARRED, "quality": quality,
    }  # fmt: skip


def _seconds(row: dict[str, Any], started: float) -> dict[str, Any]:
    seconds = round(time.process_time() - started, 1)
    return {**row, "seconds": {"median": seconds, "min": seconds, "max": seconds}}


def digits_ground() -> Ground:
    """scikit-learn's digits and a perceptron; thieves own the training images."""
    training, evaluation = split_digits()
    torch.manual_seed(0)
    network = _trained(
        nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)),
        training.images,
        training.labels,
        40,
    )
    strangers = np.random.default_rng(3).permuted(
        training.images.reshape(len(training.images), -1), axis=1
    )
    return Ground(
        "digits",
        network,
        Pool(evaluation.images, evaluation.labels),
        Pool(training.images, training.labels),
        strangers.reshape(training.images.shape).astype(np.float32),
    )


def mnist_ground(folder: Path) -> Ground:
    """MNIST; strangers are grey CIFAR-10 pictures shrunk to its shape."""
    with np.load(folder / "mnist.npz", allow_pickle=False) as data:
        images = data["x_train"][:20_000, None].astype(np.float32) / 255
        labels = data["y_train"][:20_000].astype(np.int64)
        shown = data["x_test"][:, None].astype(np.float32) / 255
        told = data["y_test"].astype(np.int64)
    with np.load(folder / "cifar10_jpeg_12k.npz", allow_pickle=False) as data:
        grey = data["x_train"][:3000, 2:30, 2:30].mean(axis=3)[:, None].astype(np.float32) / 255
    torch.manual_seed(0)
    network = _trained(
        nn.Sequential(
            nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(),
            nn.Flatten(), nn.Linear(400, 64), nn.ReLU(), nn.Linear(64, 10),
        ),
        images[:12_000],
        labels[:12_000],
        4,
    )  # fmt: skip
    thieves = Pool(images[12_000:], labels[12_000:])
    return Ground("mnist", network, Pool(shown, told), thieves, grey)


def _trained(network: nn.Module, images: Array, labels: Array, epochs: int) -> nn.Module:
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    shown, told = torch.from_numpy(images), torch.from_numpy(labels)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(100):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(shown[rows]), told[rows]).backward()
            optimizer.step()
    return network.eval()


def real_gaps(folder: Path) -> Floats:
    """Returns seconds between arrivals in a public trace of a large service."""
    trace = pd.read_parquet(folder / "azure_llm_trace_2023.parquet")
    chat = trace[trace["workload"] == "conv"].sort_values("timestamp")
    gaps: Floats = chat["timestamp"].diff().dt.total_seconds().to_numpy()[1:]
    return np.maximum(gaps, 1e-4)


def table(rows: list[dict[str, Any]]) -> str:
    """Returns the section in Markdown."""
    head = ["## Abuse monitors (`make bench-abuse`)", "", INTRODUCTION, ""]
    head += ["| accounts | tool | n | result |", "|---|---|---|---|"]
    return "\n".join([*head, *(line(row) for row in rows)])


def line(row: dict[str, Any]) -> str:
    """Returns one row of the table."""
    if "skipped" in row:
        return f"| {row['work']} | {row['tool']} | | skipped: {row['skipped']} |"
    told = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in row["quality"].items())
    seconds = f", {row['seconds']['median']} CPU s" if "seconds" in row else ""
    mark = " (bar)" if row["barred"] and row["tool"] == "proofhouse" else ""
    return f"| {row['work']}{mark} | {row['tool']} | {row['n']:,} | {told}{seconds} |"


if __name__ == "__main__":
    main()
