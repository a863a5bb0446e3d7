"""Clocks count from detection, awareness or confirmation, and say when none of these has come."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.catalog.playbooks import ClockEntry
from tasks.catalog.reading import Catalog
from tasks.domain.errors import InvalidInputError
from tasks.response.case_state import CaseState
from tasks.response.chronology import moment_lines, moments, timeline_lines
from tasks.response.clocks import read_clock, start_of
from tasks.response.following import Following, follow, tell
from tests.tasks.response.cases import DETECTED, following, world

AWARE = DETECTED + timedelta(minutes=5)
DECLARED = DETECTED + timedelta(minutes=20)
"""The clock of these cases moves by ten minutes at each event; declaring is the second."""


def clock(starts: str, **changed: Any) -> ClockEntry:
    told: dict[str, Any] = {
        "id": "law.test", "version": 1, "title": "A duty", "duty": "Tell them what happened.",
        "to": "authority", "hours": 4, "starts": starts, "applies": "It is as bad as that.",
        "fact": "major", "jurisdiction": "nowhere", "law": "Law 1",
        "in_force": date(2020, 1, 1), "verified": date(2026, 11, 1), "source": "Made for a test.",
    }  # fmt: skip
    return ClockEntry.model_validate(told | changed)


def declared(work: Following) -> CaseState:
    follow(work, by="Eve")
    tell(work, by="Eve", step="declare", detail="seen")
    return work.state()


def nothing(work: Following) -> CaseState:
    return follow(work, by="Eve")


@pytest.mark.parametrize(
    ("starts", "aware", "do", "start"),
    [
        ("detection", None, nothing, DETECTED),
        ("awareness", AWARE, nothing, AWARE),
        ("awareness", None, nothing, None),
        ("awareness", AWARE, declared, AWARE),
        ("awareness", None, declared, DECLARED),
        ("awareness", DECLARED + timedelta(hours=3), declared, DECLARED),
        ("confirmation", AWARE, nothing, None),
        ("confirmation", AWARE, declared, DECLARED),
    ],
)
def test_a_clock_counts_from_its_own_moment(
    tmp_path: Path,
    starts: str,
    aware: datetime | None,
    do: Callable[[Following], CaseState],
    start: datetime | None,
) -> None:
    state = do(following(world(tmp_path), aware=aware))
    assert start_of(state, clock(starts)) == start
    found = read_clock(state, clock(starts), DETECTED)
    assert found.due == (start + timedelta(hours=4) if start else None)
    assert found.standing == ("may_run" if start else "not_started")
    assert ("not started" in found.told) == (start is None)


def test_a_determination_after_the_declaration_is_the_moment(tmp_path: Path) -> None:
    work = following(world(tmp_path))
    declared(work)
    tell(work, by="Eve", said={"major": False}, detail="not yet clear")
    assert read_clock(work.state(), clock("confirmation"), DETECTED).standing == "does_not_run"
    tell(work, by="Eve", said={"major": True}, detail="losses are in")
    told = work.state().events[-1].at
    assert told > DECLARED
    tell(work, by="Eve", said={"major": True}, detail="said again")
    assert start_of(work.state(), clock("confirmation")) == told
    assert start_of(work.state(), clock("awareness")) == DECLARED


def test_a_determination_before_the_declaration_counts_from_the_declaration(
    tmp_path: Path,
) -> None:
    state = declared(following(world(tmp_path), facts={"major": True}))
    found = read_clock(state, clock("confirmation"), DECLARED)
    assert (found.start, found.standing) == (DECLARED, "runs")
    assert "4 h left" in found.told
    late = read_clock(state, clock("confirmation"), DECLARED + timedelta(hours=5))
    assert (late.standing, "PAST" in late.told) == ("past", True)


def test_awareness_can_be_said_in_the_case_and_must_be_a_moment(tmp_path: Path) -> None:
    work = following(world(tmp_path))
    nothing(work)
    for wrong in ("yesterday", "2026-11-01T06:05:00", "06:05"):
        with pytest.raises(InvalidInputError, match="no moment with a time zone"):
            tell(work, by="Eve", said={"aware": wrong}, detail="by telephone")
    tell(work, by="Eve", said={"aware": AWARE.isoformat()}, detail="by telephone")
    assert work.state().aware == AWARE


def test_the_three_moments_are_shown_and_stand_in_the_timeline(tmp_path: Path) -> None:
    work = following(world(tmp_path))
    before = nothing(work)
    assert moments(before) == {
        "detected": "2026-11-01T06:00:00+00:00", "aware": None, "confirmed": None,
    }  # fmt: skip
    assert "not yet (step declare)" in moment_lines(before)[2]
    state = declared(work)
    assert moments(state)["confirmed"] == DECLARED.isoformat()
    lines = timeline_lines(state)
    marks = [word for line in lines for word in ("DETECTED", "AWARE", "CONFIRMED") if word in line]
    assert marks == ["DETECTED", "AWARE", "CONFIRMED"]
    assert any("declare done, by Eve: seen" in line for line in lines)


def test_the_catalog_has_clocks_of_confirmation_beside_those_of_awareness() -> None:
    catalog = Catalog()
    starts = {name: catalog.clock(name).starts for name in catalog.ids("clocks")}
    assert starts["law.dora_initial"] == "awareness"
    assert starts["law.dora_classification"] == starts["law.sec_item_105"] == "confirmation"
    for name in catalog.ids("playbooks"):
        clocks = catalog.playbook(name).clocks
        assert ("law.dora_initial" in clocks) == ("law.dora_classification" in clocks), name
