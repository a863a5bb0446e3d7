"""The script of a drill answers people's steps, signs gates, and does deeds at the keyboard."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tasks.catalog.live_drills import Reply
from tasks.domain.errors import InvalidInputError
from tasks.ledger.approvals import held_approvals
from tasks.response.acting import World
from tasks.response.case_state import CaseState, Standing
from tasks.response.following import Following, follow
from tasks.response.live.battle import Battle
from tasks.response.live.people import play_case
from tests.tasks.response.cases import PLAYBOOK, following, world
from tests.tasks.response.live.fields import battle, sighting


def fight(**replies: Reply) -> Battle:
    made = battle(sightings=[sighting(1, "b"), sighting(2, "a")])
    return dataclasses.replace(made, entry=made.entry.model_copy(update={"replies": replies}))


def played(made: Battle, place: World, **changed: Any) -> tuple[Following, CaseState]:
    work = following(place, **changed)
    # As in a real case: a gate is passed by whoever signed for it, not by whoever asks.
    work = work._replace(approved=_Signed(place))
    follow(work, by="test")
    return work, play_case(made, work)


class _Signed:
    def __init__(self, place: World) -> None:
        self._place = place

    def __call__(self, case: str, step: Any) -> tuple[bool, str, str] | None:
        for held in held_approvals(self._place.store, self._place.trust()):
            approval = held.approval
            if approval and not held.problem and (approval.case, approval.step) == (case, step.id):
                return bool(approval.granted), approval.by, approval.reason
        return None


def test_a_case_is_played_to_its_end_by_roles_and_signatures(tmp_path: Path) -> None:
    place = world(tmp_path)
    made = fight(
        declare=Reply(note="It is an incident.", said={"hostile": True}, linked=True),
        gate=Reply(note="The vendor did it.", granted=True),
    )
    work, state = played(made, place)
    assert state.closed
    by = {event.step: event.by for event in state.events if event.step and event.ending}
    assert by["declare"] == by["gate"] == "Incident lead"
    assert state.value("incident.accounts") == ("a", "b")
    (held,) = held_approvals(place.store, place.trust())
    assert held.approval is not None
    assert held.approval.case == work.name
    assert [moment.lane for moment in made.record.moments] == ["people"] * 3


def test_a_denied_gate_ends_the_play_without_an_end(tmp_path: Path) -> None:
    made = fight(
        declare=Reply(note="It is an incident.", said={"hostile": True}),
        gate=Reply(note="Not proven yet.", granted=False),
    )
    _, state = played(made, world(tmp_path))
    assert state.standing(PLAYBOOK.step("gate")) is Standing.DENIED
    assert not state.closed


def test_a_fact_that_nobody_says_leaves_the_case_open(tmp_path: Path) -> None:
    _, state = played(fight(), world(tmp_path))
    assert [step.id for step in state.unknown()] == ["gate"]
    assert not state.closed


@pytest.mark.parametrize("fails", [False, True])
def test_deeds_are_done_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    def do(_: Battle, work: Following) -> str:
        if fails:
            raise InvalidInputError(f"no rows of {work.incident.asset}")
        return "12 rows are out"

    monkeypatch.setattr("tasks.response.live.deeds.quarantine_rows.do", do)
    made = fight(declare=Reply(note="Taken out.", deed="quarantine_rows"))
    _, state = played(made, world(tmp_path))
    (said,) = [event.detail for event in state.events if event.step == "declare"]
    assert ("could not be done: no rows" if fails else "12 rows are out") in said
