"""What ``proofhouse repair`` says, and the code it ends with."""

from pathlib import Path
from typing import Any

import pytest

from tasks.commands.repair import exit_code, lines
from tasks.response.repairing import CHECK


def rate(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01, "n": 100}


def document(outcome: str, *repairs: str) -> dict[str, Any]:
    rows = [
        {"repair": name, "obeyed": rate(0.9 if name == "none" else 0.04), "clean_accuracy": rate(1)}
        for name in ("none", *repairs)
    ]
    return {
        "asset": "Acme/reader@1", "detail": "told.", "repairs": rows, "refused": {"x": "why"},
        "findings": [{"check": "artifact.scan", "outcome": "fail"},
                     {"check": CHECK, "outcome": outcome}],
        "report": "report.html", "run": "run-1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "code"),
    [("pass", 0), ("fail", 1), ("undecided", 3), ("not_available", 3), ("error", 3)],
)
def test_the_code_says_whether_the_trigger_is_gone(outcome: str, code: int) -> None:
    assert exit_code(document(outcome), CHECK) == code


def test_every_repair_is_told_with_what_is_left() -> None:
    told = "\n".join(lines(document("pass", "fine_pruning"), [Path("out/repairs.json")]))
    assert "fine-pruning" in told
    assert "4.0% (3.0% to 5.0%)" in told
    assert "not possible: why" in told
    assert "models, table and trigger: out" in told
    assert "onboard it" in told


def test_where_there_was_nothing_to_repair_nothing_is_offered() -> None:
    assert "onboard it" not in "\n".join(lines(document("pass"), []))
