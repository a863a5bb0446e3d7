"""What ``proofhouse harden`` says, and the code it ends with."""

from pathlib import Path
from typing import Any, get_args

import pytest

from flows.hardening import ALL
from tasks.checks.evasion.defended import DEFENCES
from tasks.commands.harden import exit_code, lines
from tasks.forms import DefenceName


def rate(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 100}


def document(*effects: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [
        {
            "defence": name,
            "clean_accuracy": rate(0.9),
            "unaware_accuracy": rate(0.8),
            "robust_accuracy": rate(0.3),
            "alarms": [],
        }
        for name in ("none", *(f"defence{index}" for index in range(len(effects))))
    ]
    for row, effect in zip(rows[1:], effects, strict=True):
        row |= {"effect": effect, "gain": rate(0.1)}
    return {
        "asset": "Acme/reader@1", "detail": "told.", "defences": rows, "refused": {"x": "why"},
        "report": "report.html", "run": "run-1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("effects", "code"),
    [
        (["protects", "doubtful"], 0),
        (["only masks", "harms"], 1),
        (["only masks", "doubtful"], 3),
        (["no gain shown"], 3),
        ([], 3),
    ],
)
def test_the_code_says_whether_a_defence_protects(effects: list[str], code: int) -> None:
    assert exit_code(document(*effects)) == code


def test_every_defence_is_told_with_its_gain() -> None:
    told = "\n".join(lines(document("only masks"), [Path("out/defences.json")]))
    assert "only masks (gain +10.0%, +0.0% to +20.0%)" in told
    assert "before" in told
    assert "not compared: why" in told
    assert "models, table and curve: out" in told


def test_one_list_of_defences() -> None:
    assert get_args(DefenceName) == ALL == DEFENCES
