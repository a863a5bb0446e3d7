"""The watch: no alarm in a year of nothing, an alarm soon after a change, also of the risk."""

import numpy as np

from tasks.detectors.drift.watch import RISK, Watch, advanced, evidence, opened
from tasks.domain.digest import Digest
from tasks.sandbox.protocol import Array
from tests.tasks.detectors.drift.tables import layout, people, sketch

ROLES = {"labels": "y", "predictions": ("guess",)}


def named(number: int) -> Digest:
    return Digest(f"sha256:{number:064x}")


def answered(seed: int, rows: int, wrong: float, **moved: float) -> dict[str, Array]:
    rng = np.random.default_rng(1000 + seed)
    y = rng.integers(0, 3, rows)
    missed = rng.random(rows) < wrong
    return people(seed, rows, **moved) | {"y": y, "guess": np.where(missed, (y + 1) % 3, y)}


def watched(nights: list[dict[str, Array]], rows: int = 4000) -> Watch:
    reference = answered(0, rows, 0.1)
    cells = layout(reference, **ROLES)
    watch = opened(
        sketch(cells, reference), named(0), series="s", alpha=0.01, tolerance=0.05,
        risk_tolerance=0.02,
    )  # fmt: skip
    for number, night in enumerate(nights, start=1):
        watch = advanced(watch, sketch(cells, night), named(number), None)
    return watch


def alarms(watch: Watch) -> dict[str, int]:
    return {one.gate: one.alarmed for one in evidence(watch) if one.alarmed is not None}


def test_nothing_happens_when_nothing_happens() -> None:
    nights = [answered(seed, 300, 0.1) for seed in range(1, 61)]
    assert alarms(watched(nights)) == {}


def test_a_change_is_found_where_it_is_and_soon() -> None:
    calm = [answered(seed, 500, 0.1) for seed in range(1, 16)]
    older = [answered(seed, 500, 0.1, older=8) for seed in range(16, 22)]
    found = alarms(watched(calm + older))
    assert set(found) == {"age"}
    assert 16 <= found["age"] <= 19


def test_more_wrong_answers_alarm_the_risk_alone() -> None:
    calm = [answered(seed, 500, 0.1) for seed in range(1, 11)]
    wrong = [answered(seed, 500, 0.3) for seed in range(11, 21)]
    found = alarms(watched(calm + wrong))
    assert set(found) == {RISK}
    assert 11 <= found[RISK] <= 14


def test_the_same_rows_are_no_new_evidence() -> None:
    night = answered(1, 500, 0.1, older=3)
    once = watched([night])
    cells = layout(answered(0, 4000, 0.1), **ROLES)
    assert advanced(once, sketch(cells, night), named(1), None) == once


def test_the_state_survives_its_bytes() -> None:
    watch = watched([answered(1, 300, 0.1)])
    assert Watch.parse(watch.canonical()) == watch


def test_an_alarm_stands_when_things_calm_down_again() -> None:
    nights = [answered(seed, 500, 0.4) for seed in range(1, 6)]
    nights += [answered(seed, 500, 0.1) for seed in range(6, 30)]
    assert RISK in alarms(watched(nights))
