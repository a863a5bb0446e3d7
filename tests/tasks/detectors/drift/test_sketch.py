"""Sketches: what partitions add up to, and how near they come to the exact answer."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from tasks.detectors.drift.features import Cells, compare, distance_of, largest
from tasks.detectors.drift.sketch import KEPT_ROWS, dumped, empty, loaded, merged
from tasks.sandbox.protocol import Array
from tests.tasks.detectors.drift.tables import layout, people, sketch


def cut(columns: dict[str, Array], rows: slice) -> dict[str, Array]:
    return {name: column[rows] for name, column in columns.items()}


def test_partitions_add_up_to_the_whole_in_any_order() -> None:
    table = people(1, 9000)
    cells = layout(table)
    whole = sketch(cells, table)
    parts = [
        sketch(cells, cut(table, slice(at, at + 1000)), source=f"part {at}")
        for at in range(0, 9000, 1000)
    ]
    forward, backward = empty(cells), empty(cells)
    for part in parts:
        forward = merged(forward, part)
    for part in reversed(parts):
        backward = merged(part, backward)
    assert dumped(forward) == dumped(backward)
    assert forward.rows == 9000
    assert all((a == b).all() for a, b in zip(forward.counts, whole.counts, strict=True))
    assert len(forward.kept) == KEPT_ROWS


def test_a_sketch_survives_its_bytes_and_nothing_else_passes_for_one() -> None:
    made = sketch(layout(people(1, 500)), people(2, 500, farmers=0.1))
    again = loaded(dumped(made))
    assert dumped(again) == dumped(made)
    assert again.layout.digest == made.layout.digest
    with pytest.raises(ValueError, match="no sketch"):
        loaded(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")


def test_memory_does_not_grow_with_rows() -> None:
    cells = layout(people(1, 5000))
    one, ten = (sketch(cells, people(3, rows)) for rows in (20_000, 200_000))
    assert len(dumped(one)) == pytest.approx(len(dumped(ten)), abs=200)


@pytest.mark.parametrize("shape", ["normal", "few values", "zeros", "heavy"])
def test_the_distance_is_the_exact_one_but_for_the_heaviest_cell(shape: str) -> None:
    rng = np.random.default_rng(4)
    draws: dict[str, Callable[[int], Array]] = {
        "normal": lambda n: rng.normal(size=n),
        "few values": lambda n: rng.integers(0, 40, n).astype(float),
        "zeros": lambda n: np.where(rng.random(n) < 0.6, 0.0, rng.normal(size=n)),
        "heavy": rng.standard_cauchy,
    }
    before, now = draws[shape](30_000), draws[shape](20_000) * 1.05 + 0.02
    cells = layout({"x": before})
    one, two = sketch(cells, {"x": before}), sketch(cells, {"x": now})
    [shift] = compare(one, two)
    exact = stats.ks_2samp(before, now)
    assert shift.distance.value <= exact.statistic + 1e-12
    assert shift.distance.value >= exact.statistic - shift.resolution
    if shape in {"normal", "heavy"}:
        assert shift.resolution < 0.003
    assert shift.p_value >= min(1.0, exact.pvalue)


def test_values_that_many_rows_share_do_not_hide_a_shift_beside_them() -> None:
    rng = np.random.default_rng(5)
    zero = rng.random(40_000) < 0.7
    before = np.where(zero, 0.0, rng.normal(3, 1, 40_000))
    now = np.where(zero, -1e-3, rng.normal(3, 1, 40_000))
    cells = layout({"x": before})
    [shift] = compare(sketch(cells, {"x": before}), sketch(cells, {"x": now}))
    assert shift.distance.value > 0.65


def test_the_moved_columns_are_told_and_ranked() -> None:
    before = people(1, 20_000)
    cells = layout(before)
    now = sketch(cells, people(2, 15_000, older=2, farmers=0.2))
    shifts = compare(sketch(cells, before), now)
    assert [shift.name for shift in shifts] == ["job", "age", "income"]
    assert [shift.significant for shift in shifts] == [True, True, False]
    assert shifts[0].distance.low < 0.2 < shifts[0].distance.high
    assert largest(shifts).value == shifts[0].distance.value


def test_missing_values_are_a_shift_of_their_own() -> None:
    before = people(1, 10_000)
    cells = layout(before)
    now = people(2, 10_000)
    now["age"][:3000] = np.nan
    shifts = compare(sketch(cells, before), sketch(cells, now))
    assert shifts[0].name == "age"
    assert shifts[0].distance.value == pytest.approx(0.3)
    assert shifts[0].missing == (0.0, 0.3)


def test_names_the_layout_does_not_know_still_count() -> None:
    before = {"id": np.array([f"user{n % 3000}" for n in range(9000)])}
    cells = layout(before)
    now = {"id": np.array([f"robot{n % 3000}" for n in range(9000)])}
    [shift] = compare(sketch(cells, before), sketch(cells, now))
    assert shift.distance.value > 0.3
    assert shift.significant


def test_a_column_that_is_gone_or_new_is_noted() -> None:
    before = people(1, 500)
    now = {name: column for name, column in people(2, 500).items() if name != "age"}
    made = sketch(layout(before), now | {"height": np.zeros(500)})
    assert any("age is missing" in note for note in made.notes)
    assert any("height" in note for note in made.notes)


def test_unchanged_tables_are_called_different_no_more_often_than_promised() -> None:
    false = 0
    for seed in range(200):
        before = people(2 * seed, 1500)
        cells = layout(before)
        shifts = compare(sketch(cells, before), sketch(cells, people(2 * seed + 1, 1000)))
        false += any(shift.significant for shift in shifts)
    assert false <= stats.binom.ppf(0.999, 200, 0.05)


def test_the_interval_holds_the_distance_of_the_distributions() -> None:
    rng, held = np.random.default_rng(6), 0
    true = float(2 * stats.norm.cdf(0.15) - 1)  # of N(0, 1) and N(0.3, 1)
    edges = np.linspace(-4, 4, 400)
    for _ in range(200):
        counts = [
            np.histogram(rng.normal(mean, 1, 500), [-np.inf, *edges, np.inf])[0]
            for mean in (0, 0.3)
        ]
        found = distance_of(Cells(counts[0], counts[1], (0, 0)), number=True, confidence=0.9)
        held += found.low <= true <= found.high
    assert held >= 180


def test_a_value_is_counted_at_its_edge_and_not_above() -> None:
    values = np.array([0.5] * 3 + [1.5] * 4 + [2.5] * 5 + [np.nan, np.inf, -np.inf])
    made = sketch(layout({"x": values[:12]}), {"x": values})
    assert made.layout.edges[0].tolist() == [0.5, 1.5, 2.5]
    assert made.counts[0].tolist() == [4, 4, 5, 1, 1]


def test_many_names_do_not_look_like_a_shift() -> None:
    rng = np.random.default_rng(7)
    before, same = ({"day": rng.integers(0, 700, 3500).astype("U5")} for _ in range(2))
    cells = layout(before)
    [shift] = compare(sketch(cells, before), sketch(cells, same))
    assert not shift.significant
    assert shift.distance.value < 0.08
    later = {"day": rng.integers(700, 1400, 3500).astype("U5")}
    [moved] = compare(sketch(cells, before), sketch(cells, later))
    assert moved.distance.low > 0.8
