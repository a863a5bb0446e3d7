"""The tabular question as a whole: declared rules, inferred rules, and claims that cheat."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from tasks.attacks.tabular.tabular_control import control_rows, control_table
from tasks.checks.evasion.tabular import _Trial, measure
from tasks.checks.lab import Examples, Lab, NotApplicable, NotAvailable
from tasks.sandbox.protocol import Reply
from tests.tasks.targets.models import description, digits, lab_for, trained, write_model

CHECK = "evasion.tabular"
LAYERS: list[Any] = [{"linear": {"in": 7, "out": 2}}]


def reader(column: int) -> nn.Sequential:
    network = nn.Sequential(nn.Linear(7, 2))
    state = {"0.weight": np.zeros((2, 7)), "0.bias": np.array([0.475, 0])}
    state["0.weight"][1, column] = 1
    import torch  # noqa: PLC0415 - only here

    network.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    return network


def bench(folder: Path, *, column: int = 2, declared: bool = True, **parameters: Any) -> Lab:
    write_model(folder, reader(column), LAYERS)
    rows = control_rows(4)
    labels = (rows[:, column] > 0.475).astype(np.int64)
    table = control_table().model_dump(mode="json") if declared else None
    return lab_for(
        folder,
        CHECK,
        model=description(shape=(7,), classes=2, table=table),
        evaluation=Examples(rows, labels),
        parameters={"epsilon": 0.2} | parameters,
    )


def test_a_reader_of_what_can_be_changed_falls(tmp_path: Path) -> None:
    found = measure(bench(tmp_path))
    assert found.estimates["clean_accuracy"].value == 1
    assert found.estimates["robust_accuracy"].value == 0
    assert found.facts["feasibility_rate"] == 1
    assert found.facts["rules_declared"] is True
    assert all(control.held for control in found.controls)
    assert found.alarms == ()
    assert any("age" in limit for limit in found.limits)


def test_a_reader_of_a_fixed_column_stands(tmp_path: Path) -> None:
    found = measure(bench(tmp_path, column=3))
    assert found.estimates["robust_accuracy"].value == 1


def test_without_a_declaration_the_fixed_column_is_not_known(tmp_path: Path) -> None:
    found = measure(bench(tmp_path, column=3, declared=False))
    assert found.estimates["robust_accuracy"].value < 1
    assert any("declares no model.input.table" in limit for limit in found.limits)


def test_pictures_are_no_rows(tmp_path: Path) -> None:
    write_model(tmp_path, trained())
    lab = lab_for(tmp_path, CHECK, model=description(), evaluation=digits().test)
    with pytest.raises(NotApplicable, match="no rows"):
        measure(lab)


def test_rows_that_break_the_rules_unmoved_are_left_out(tmp_path: Path) -> None:
    lab = bench(tmp_path)
    rows = control_rows(4)
    rows[:, 2] += 0.1  # totals that do not follow
    labels = np.zeros(len(rows), np.int64)
    lab.examples = lambda role: Examples(rows, labels)  # type: ignore[method-assign]  # noqa: ARG005
    with pytest.raises(NotAvailable, match="obeys the table's own rules"):
        measure(lab)


@pytest.mark.parametrize("cheat", ["fixed column", "impossible", "shape", "beyond the budget"])
def test_a_win_outside_the_rules_counts_for_nothing(tmp_path: Path, cheat: str) -> None:
    lab = bench(tmp_path)
    from tasks.checks.evasion.referee import population  # noqa: PLC0415 - only here

    people = population(lab, points=24, access="labels")
    trial = _Trial(lab, people, control_table())
    moved = people.inputs.copy()
    if cheat == "fixed column":
        moved[:, 3] = 1 - moved[:, 3]
    elif cheat == "impossible":
        moved[:, 2] = np.where(moved[:, 2] > 0.475, 0.1, 0.9)
    elif cheat == "beyond the budget":
        moved[:, 0] = moved[:, 1] = np.where(moved[:, 2] > 0.475, 0, 0.5)
        moved[:, 2] = moved[:, 0] + moved[:, 1]
    else:
        moved = moved[:, :5]
    asked = lab.run

    def lying(procedure: str, arrays: Any = None, **values: Any) -> Reply:
        if procedure.startswith("attacks.tabular"):
            return Reply({"candidates": moved, "found": np.ones(len(moved), bool)}, {})
        return asked(procedure, arrays, **values)

    lab.run = lying  # type: ignore[method-assign]
    trial.attack("capgd")
    assert trial.standing.all()
    assert trial.feasible == 0 < trial.claimed
