"""Following a playbook: what the machine does, what waits for people, what survives a crash."""

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.domain.errors import EvidenceError, InvalidInputError
from tasks.inventory.database import Inventory
from tasks.response import following as engine
from tasks.response.acting import Acted, ActionError, World
from tasks.response.actions.inventory import quarantine
from tasks.response.case_log import known_cases
from tasks.response.case_state import CaseState, Standing
from tasks.response.following import alone, follow, tell, undo
from tasks.response.telling import asked_of_people
from tests.tasks.inventory.records import ASSET
from tests.tasks.response.cases import PLAYBOOK, following, world


def standings(state: CaseState) -> dict[str, str]:
    return {step.id: state.standing(step).value for step in PLAYBOOK.steps}


def asset_state(place: World) -> str:
    found = Inventory(place.database).asset(ASSET)
    assert found is not None
    return found.state


def test_a_case_waits_for_people_and_goes_on(tmp_path: Path) -> None:
    place = world(tmp_path)
    work = following(place)
    assert standings(follow(work, by="Eve"))["declare"] == "ready"
    assert asset_state(place) == "approved"

    tell(work, by="Eve", step="declare", detail="seen the witness")
    state = follow(work, by="Eve")
    assert standings(state) == {
        "declare": "done", "quarantine": "done", "ticket": "done", "gate": "unknown",
        "review": "waiting",
    }  # fmt: skip
    assert asset_state(place) == "withdrawn"
    assert "It is out." in next(place.home.glob("tickets/*.md")).read_text()

    tell(work, by="Eve", said={"hostile": False}, detail="the vendor was attacked itself")
    assert standings(follow(work, by="Eve"))["gate"] == "skipped"
    tell(work, by="Eve", step="review", detail="held")
    assert follow(work, by="Eve").closed


@pytest.mark.parametrize(("granted", "after"), [(True, "ready"), (False, "waiting")])
def test_only_a_granted_gate_lets_through(tmp_path: Path, granted: bool, after: str) -> None:
    work = following(world(tmp_path), granted=granted, facts={"hostile": True})
    follow(work, by="Eve")
    tell(work, by="Eve", step="declare", detail="seen")
    state = follow(work, by="Eve")
    assert standings(state)["gate"] == ("done" if granted else "denied")
    assert standings(state)["review"] == after


def test_a_dry_run_walks_every_step_and_changes_nothing(tmp_path: Path) -> None:
    place = world(tmp_path)
    state = follow(following(place, dry_run=True), by="Eve")
    assert state.closed
    assert set(standings(state).values()) == {"done"}
    assert asset_state(place) == "approved"
    assert not (place.home / "tickets").exists()


def test_a_failed_action_is_written_down_and_tried_again(tmp_path: Path) -> None:
    work = following(world(tmp_path), asset="nobody/knows@1")
    follow(work, by="Eve")
    tell(work, by="Eve", step="declare", detail="seen")
    state = follow(work, by="Eve")
    assert standings(state)["quarantine"] == "failed"
    assert standings(state)["ticket"] == "failed"  # it needs what quarantine would have said
    said = [event.detail for event in state.events if event.step == "ticket"]
    assert "nobody said quarantine.state_before" in said[-1]
    again = follow(work, by="Eve")
    assert len(again.events) > len(state.events)


def test_a_denied_gate_may_be_thought_over(tmp_path: Path) -> None:
    place = world(tmp_path)
    denied = following(place, granted=False, facts={"hostile": True})
    follow(denied, by="Eve")
    tell(denied, by="Eve", step="declare", detail="seen")
    count = len(follow(denied, by="Eve").events)
    assert len(follow(denied, by="Eve").events) == count, "one no is written down once"
    granted = denied._replace(approved=lambda *_: (True, "Eve", "approval: thought over"))
    assert standings(follow(granted, by="Eve"))["gate"] == "done"


def test_a_step_may_settle_a_fact_of_the_incident_and_people_may_overrule_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(*_: object) -> Acted:
        return Acted("looked", said={"state_before": "approved", "incident.hostile": True})

    monkeypatch.setattr("tasks.response.actions.inventory.quarantine.act", found)
    work = following(world(tmp_path))
    follow(work, by="Eve")
    tell(work, by="Eve", step="declare", detail="seen")
    state = follow(work, by="Eve")
    assert state.value("incident.hostile") is True
    assert standings(state)["gate"] == "ready"
    tell(work, by="Eve", said={"hostile": False}, detail="looked again")
    assert standings(follow(work, by="Eve"))["gate"] == "skipped"


def test_a_case_with_something_undone_can_end(tmp_path: Path) -> None:
    work = following(world(tmp_path), facts={"hostile": False})
    follow(work, by="Eve")
    tell(work, by="Eve", step="declare", detail="seen")
    follow(work, by="Eve")
    undo(work, "quarantine", by="Eve")
    tell(work, by="Eve", step="review", detail="held")
    assert follow(work, by="Eve").closed


def test_an_action_is_undone_once(tmp_path: Path) -> None:
    place = world(tmp_path)
    work = following(place)
    follow(work, by="Eve")
    tell(work, by="Eve", step="declare", detail="seen")
    follow(work, by="Eve")
    assert undo(work, "quarantine", by="Eve") == f"{ASSET} is approved again"
    assert asset_state(place) == "approved"
    assert work.state().standing(PLAYBOOK.step("quarantine")) is Standing.UNDONE
    for step, words in {"quarantine": "not done", "ticket": "cannot be undone"}.items():
        with pytest.raises(InvalidInputError, match=words):
            undo(work, step, by="Eve")


def test_a_form_says_who_is_to_do_what_and_which_facts_are_missing(tmp_path: Path) -> None:
    work = following(world(tmp_path), title="A <b>trigger</b> was found")
    told = asked_of_people(work, follow(work, by="Eve"))
    assert "**Incident lead: Declare it** (`declare`)" in told
    assert "A \\<b\\>trigger\\</b\\> was found" in told
    assert "- confirmed: not yet" in told
    tell(work, by="Eve", step="declare", detail="seen")
    assert "each true or false: `hostile`" in asked_of_people(work, follow(work, by="Eve"))
    tell(work, by="Eve", said={"hostile": True}, detail="clear")
    asked = asked_of_people(work, follow(work, by="Eve"))
    assert "Shall the vendor be barred?" in asked
    assert f"proofhouse approve step {work.name} gate" in asked


def test_only_a_waiting_manual_step_can_be_said_to_be_done(tmp_path: Path) -> None:
    work = following(world(tmp_path))
    follow(work, by="Eve")
    for step in ("review", "quarantine", "nothing"):
        with pytest.raises(InvalidInputError, match="Waiting for people: declare"):
            tell(work, by="Eve", step=step, detail="done")


def test_the_same_incident_is_the_same_case(tmp_path: Path) -> None:
    place = world(tmp_path)
    first, again = following(place), following(place)
    follow(first, by="Eve")
    follow(again, by="Eve")
    assert [head.name for head in known_cases(place.store)] == [first.name]
    assert sum(event.kind == "opened" for event in again.state().events) == 1


def test_a_case_is_followed_by_one_process(tmp_path: Path) -> None:
    with (
        alone(tmp_path, "case-1"),
        pytest.raises(InvalidInputError, match="another process"),
        alone(tmp_path, "case-1"),
    ):
        pytest.fail("two follow one case")
    with alone(tmp_path, "case-1"), alone(tmp_path, "case-2"):
        pass


def test_an_event_that_was_changed_is_not_read(tmp_path: Path) -> None:
    place = world(tmp_path)
    work = following(place)
    follow(work, by="Eve")
    name = f"cases/{work.name}/000000"
    place.store.named[name] = place.store.named[name].replace(b'"number":0', b'"number":7')  # type: ignore[attr-defined]
    with pytest.raises(EvidenceError, match="holds event 7"):
        following(place).state()


def test_deadlines_count_from_detection(tmp_path: Path) -> None:
    work = following(world(tmp_path))
    state = follow(work, by="Eve")
    declare = PLAYBOOK.step("declare")
    due = state.due(declare)
    assert due is not None
    assert state.late(due) == []
    tell(work, by="Eve", step="declare", detail="seen after twenty minutes")
    assert work.state().late(due.replace(year=2027)) == []
    late = following(world(tmp_path / "other"), summary="another incident")
    assert late.state().late(due.replace(year=2027)) == [declare]


@pytest.fixture(autouse=True)
def _folder_for_the_other_home(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()


DIES = """
import os, signal, sys
from pathlib import Path
from tasks.response import following as engine
from tasks.store.local import LocalStore
from tests.tasks.response.cases import following, world

folder, at = Path(sys.argv[1]), int(sys.argv[2])
place = world(folder, LocalStore(folder / "store"))
work = following(place, facts={"hostile": False})
count = 0
write = engine._write

def counted(work, **values):
    global count
    if count == at:
        os.kill(os.getpid(), signal.SIGKILL)
    count += 1
    write(work, **values)

engine._write = counted
engine.follow(work, by="Eve")
if work.state().standing(work.playbook.step("declare")).value == "ready":
    engine.tell(work, by="Eve", step="declare", detail="seen")
state = engine.follow(work, by="Eve")
print(" ".join(state.standing(step).value for step in work.playbook.steps))
"""


@pytest.mark.parametrize("at", [1, 3, 4, 6])
def test_a_process_killed_before_any_event_is_resumed(tmp_path: Path, at: int) -> None:
    def run(count: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", DIES, str(tmp_path), str(count)],
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip

    killed = run(at)
    assert killed.returncode == -9, killed.stderr
    resumed = run(99)
    assert resumed.stdout.split() == ["done", "done", "done", "skipped", "ready"], resumed.stderr
    assert len(list((tmp_path / "home" / "tickets").glob("*.md"))) == 1
    (asset,) = Inventory(f"sqlite:///{tmp_path / 'home' / 'inventory.sqlite'}").assets()
    assert asset.state == "withdrawn"


def test_a_bug_of_an_action_is_no_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ActionError("the wall is red")

    monkeypatch.setattr(quarantine, "act", broken)
    work = following(world(tmp_path))
    follow(work, by="Eve")
    tell(work, by="Eve", step="declare", detail="seen")
    state = engine.follow(work, by="Eve")
    last = state.last(PLAYBOOK.step("quarantine"))
    assert last is not None
    assert last.detail == "the wall is red"
