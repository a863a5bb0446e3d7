"""Attacks on rows: what is possible, what is repaired, and who finds what within the rules."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.attacks.evasion.linear_control import linear_target
from tasks.attacks.tabular.capgd import capgd
from tasks.attacks.tabular.evolution import evolution
from tasks.attacks.tabular.repairing import repaired
from tasks.attacks.tabular.rules import Allowed, Rules, inferred
from tasks.attacks.tabular.tabular_control import control_rows, control_table
from tasks.domain.bundle import ModelSpec
from tasks.domain.errors import TargetError
from tasks.domain.table import Column, Relation, Table
from tasks.targets.protocol import predicted
from tasks.targets.torch_target import TorchTarget
from tests.tasks.targets.models import description

RULES = Rules(control_table())
GOOD = [0.25, 0.20, 0.45, 0.7, 0, 1, 0]
IMPOSSIBLE = {
    "out of range": {0: 0.55, 2: 0.75},
    "between steps": {0: 0.26, 2: 0.46},
    "total does not follow": {2: 0.5},
    "difference too large": {0: 0.5, 1: 0.0, 2: 0.5},
    "two kinds": {4: 1},
    "no kind": {5: 0},
    "half a kind": {4: 0.5, 5: 0.5},
    "not a number": {3: np.nan},
}


def row(change: dict[int, float]) -> np.ndarray[Any, Any]:
    values = np.array([GOOD])
    for column, value in change.items():
        values[0, column] = value
    return values


def test_a_good_row_is_possible() -> None:
    assert RULES.possible(row({})).all()
    assert RULES.possible(control_rows(3).astype(float)).all()


@pytest.mark.parametrize("change", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_an_impossible_row_is_not(change: dict[int, float]) -> None:
    with np.errstate(invalid="ignore"):
        assert not RULES.possible(row(change)).any()


UNREACHABLE = {
    "fixed column": ({3: 0.71}, True),
    "beyond the budget": ({0: 0.40, 2: 0.60}, True),
    "another kind": ({4: 1, 5: 0}, False),
    "a step away": ({0: 0.30, 2: 0.50}, False),
}


@pytest.mark.parametrize(("change", "refused"), UNREACHABLE.values(), ids=UNREACHABLE)
def test_what_an_attacker_can_reach(change: dict[int, float], refused: bool) -> None:
    reached = RULES.reachable(row(change), row({}), Allowed(0.2, 1))
    assert reached.tolist() == [not refused]
    if 4 in change:
        assert not RULES.reachable(row(change), row({}), Allowed(0.2, 0)).any()


@given(
    st.integers(0, 1000),
    st.floats(0, 1),
    st.integers(0, 2),
    st.floats(0.01, 30),
)
def test_whatever_is_proposed_the_repaired_row_obeys(
    seed: int, epsilon: float, categories: int, spread: float
) -> None:
    clean = control_rows(seed).astype(float)
    proposed = clean + spread * np.random.default_rng(seed).normal(size=clean.shape)
    allowed = Allowed(epsilon, categories)
    result = repaired(proposed, clean, RULES, allowed)
    assert RULES.possible(result).all()
    assert RULES.reachable(result, clean, allowed).all()


def test_repair_keeps_what_already_obeys() -> None:
    clean = control_rows(0).astype(float)
    moved = clean.copy()
    moved[:, 0] += 0.05
    moved[:, 2] += 0.05
    np.testing.assert_allclose(repaired(moved, clean, RULES, Allowed(0.2, 1)), moved, atol=1e-9)


def test_products_and_solved_columns_follow() -> None:
    table = Table(
        columns=(
            Column(name="hours", low=0, high=100),
            Column(name="wage", low=0, high=50),
            Column(name="pay", low=0, high=5000),
        ),
        relations=(
            Relation(terms={"pay": 1}, compare="==", product=("hours", "wage"), solve_for="pay"),
        ),
    )
    rules = Rules(table)
    rows = np.array([[10.0, 20.0, 0.0]])
    assert not rules.possible(rows).any()
    np.testing.assert_allclose(rules.follow(rows), [[10, 20, 200]])
    assert rules.possible(rules.follow(rows)).all()


BROKEN_TABLES: dict[str, dict[str, Any]] = {
    "empty range": {"columns": [{"name": "a", "low": 1, "high": 1}]},
    "category without choices": {"columns": [{"name": "a", "kind": "category"}]},
    "one-hot without group": {"columns": [{"name": "a", "kind": "one_hot"}]},
    "named twice": {"columns": [{"name": "a"}, {"name": "a"}]},
    "unknown column": {"columns": [{"name": "a"}], "relations": [{"terms": {"b": 1}}]},
    "inequality solved": {
        "columns": [{"name": "a"}],
        "relations": [{"terms": {"a": 1}, "solve_for": "a"}],
    },
    "unknown key": {"columns": [{"name": "a", "eval": "1"}]},
}


@pytest.mark.parametrize("document", BROKEN_TABLES.values(), ids=BROKEN_TABLES)
def test_a_broken_declaration_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Table.model_validate(document)


def weak_reader() -> TorchTarget:
    weights = np.zeros((2, 7), np.float32)
    weights[1, 2] = 1
    return linear_target(weights, np.array([0.475, 0], np.float32))


ATTACKS = pytest.mark.parametrize("attack", [capgd, evolution])


@ATTACKS
def test_finds_every_row_that_can_cross_and_stays_possible(attack: Any) -> None:
    target, rows = weak_reader(), control_rows(1)
    labels = predicted(target, rows)
    before = target.meter.passes
    reply = attack(
        target,
        inputs=rows,
        labels=labels,
        table=control_table().model_dump(mode="json"),
        epsilon=0.2,
    )
    assert dict(reply[1])["passes"] == target.meter.passes - before > 0
    moved = reply.arrays["candidates"]
    assert reply.arrays["found"].all()
    assert (predicted(target, moved) != labels).all()
    assert RULES.possible(moved.astype(float)).all()
    assert RULES.reachable(moved.astype(float), rows.astype(float), Allowed(0.2, 1)).all()


@ATTACKS
def test_a_row_does_not_depend_on_its_batch(attack: Any) -> None:
    target, rows = weak_reader(), control_rows(1)
    settings: dict[str, Any] = {
        "table": control_table().model_dump(mode="json"),
        "epsilon": 0.1,
    }
    labels = predicted(target, rows)
    whole = attack(target, inputs=rows, labels=labels, **settings).arrays["candidates"]
    half = attack(target, inputs=rows[9:], labels=labels[9:], **settings).arrays["candidates"]
    np.testing.assert_array_equal(whole[9:], half)


@ATTACKS
def test_no_rows_are_no_work(attack: Any) -> None:
    rows = control_rows(1)[:0]
    reply = attack(
        weak_reader(), inputs=rows, labels=np.zeros(0, np.int64),
        table=control_table().model_dump(mode="json"), epsilon=0.1,
    )  # fmt: skip
    assert reply[1] == {"passes": 0, "queries": 0}


def test_gradients_are_needed_by_the_one_that_uses_them() -> None:
    target = weak_reader()
    target.module = None
    with pytest.raises(TargetError, match="needs gradients"):
        capgd(
            target, inputs=control_rows(0), labels=np.zeros(24, np.int64),
            table=control_table().model_dump(mode="json"), epsilon=0.1,
        )  # fmt: skip


def test_slopes_of_dependent_columns_are_charged_to_what_they_follow_from() -> None:
    """Oracle: difference quotients of a function of the followed row."""
    table = Table(
        columns=tuple(Column(name=name, low=-9, high=9) for name in "abcd"),
        relations=(
            Relation(terms={"c": 2, "a": -1}, compare="==", product=("a", "b"), solve_for="c"),
            Relation(terms={"d": 1, "c": 3, "b": 1}, compare="==", bound=1, solve_for="d"),
        ),
    )
    rules, weights = Rules(table), np.array([0.3, -1.0, 2.0, 0.7])
    start = np.array([[1.0, -2.0, 0.0, 0.0]])
    slope = rules.pulled_back(rules.follow(start), weights[None].copy())
    for column in (0, 1):
        step = np.zeros((1, 4))
        step[0, column] = 1e-6
        quotient = (rules.follow(start + step) - rules.follow(start - step)) @ weights / 2e-6
        assert slope[0, column] == pytest.approx(float(quotient[0]), rel=1e-5)
    assert slope[0, 2:].tolist() == [0, 0]


def test_a_table_is_read_off_rows_nobody_described() -> None:
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.integers(0, 9, 50), rng.random(50), np.full(50, 2.0)])
    table = inferred(rows)
    assert [column.step for column in table.columns] == [1.0, None, None]
    assert [column.immutable for column in table.columns] == [False, False, True]
    assert Rules(table).possible(rows).all()


class Adult:
    """UCI Adult with numbers scaled to 0..1 and categories as ones and zeros."""

    NUMBERS = ("age", "education_num", "capital_gain", "capital_loss", "hours_per_week")
    CATEGORIES = ("workclass", "marital_status", "occupation", "sex", "race")
    FIXED = ("age", "sex", "race")

    def __init__(self, file: Path) -> None:
        frame = pd.read_parquet(file).dropna()
        parts, columns = [], []
        for name in self.NUMBERS:
            values = frame[name].astype(float)
            low, high = values.min(), values.max()
            parts.append(((values - low) / (high - low)).to_numpy()[:, None])
            columns.append(Column(name=name, step=1 / (high - low), immutable=name in self.FIXED))
        for name in self.CATEGORIES:
            dummies = pd.get_dummies(frame[name].astype(str))
            parts.append(dummies.to_numpy(dtype=float))
            columns += [
                Column(
                    name=f"{name}={value}", kind="one_hot", group=name,
                    immutable=name in self.FIXED,
                )
                for value in dummies.columns
            ]  # fmt: skip
        self.rows = np.concatenate(parts, axis=1).astype(np.float32)
        self.labels = frame["income"].to_numpy().astype(np.int64)
        self.table = Table(columns=tuple(columns))


@pytest.mark.shared_data
def test_adult_falls_within_its_rules() -> None:
    folder = os.environ.get("PROOFHOUSE_TEST_DATA")
    if not folder:
        pytest.skip("set PROOFHOUSE_TEST_DATA to the folder of the development data")
    adult = Adult(Path(folder) / "adult.parquet")
    torch.manual_seed(0)
    width = adult.rows.shape[1]
    network = torch.nn.Sequential(
        torch.nn.Linear(width, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2)
    )
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    inputs, labels = torch.from_numpy(adult.rows[:20000]), torch.from_numpy(adult.labels[:20000])
    for _ in range(8):
        for batch in torch.randperm(20000).split(256):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(inputs[batch]), labels[batch]).backward()
            optimizer.step()
    model = ModelSpec.model_validate(description(shape=(width,), classes=2))
    target = TorchTarget(network, model, kind="test")
    rows, truth = adult.rows[-400:], adult.labels[-400:]
    correct = predicted(target, rows) == truth
    assert correct.mean() > 0.8
    rules, table = Rules(adult.table), adult.table.model_dump(mode="json")
    kept = correct & rules.possible(rows.astype(float))
    assert kept.sum() == correct.sum()
    fell = np.zeros(kept.sum(), bool)
    for attack in (capgd, evolution):
        reply = attack(
            target, inputs=rows[kept], labels=truth[kept], table=table, epsilon=0.1, categories=1
        )
        moved = reply.arrays["candidates"].astype(float)
        feasible = rules.possible(moved) & rules.reachable(
            moved, rows[kept].astype(float), Allowed(0.1, 1)
        )
        assert feasible.all()  # feasibility 100 %
        fell |= reply.arrays["found"]
    assert fell.mean() > 0.2
