"""What the catalog's playbooks and drills promise: one can follow them; they tell teams apart."""

import csv
import importlib.util
import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
import yaml

from tasks.casework import read_document, take_up, world_of
from tasks.catalog.drills import DrillEntry
from tasks.catalog.live_drills import LiveDrillEntry
from tasks.catalog.playbooks import PlaybookEntry, Step
from tasks.catalog.reading import Catalog, catalog_root
from tasks.domain.drill import Answers, DrillResult, Given, PlayerAnswer
from tasks.domain.finding import References
from tasks.domain.incident import Incident
from tasks.response.case_state import Standing
from tasks.response.following import follow
from tasks.response.rehearsing.concluding import PASSED
from tasks.response.tabletop import score
from tasks.settings import read_settings

CATALOG = Catalog()
REFERENCE = os.environ.get("PROOFHOUSE_TEST_REFERENCE", "")
FILES = Path(__file__).parent / "rehearsals"
PLAYBOOKS = pytest.mark.parametrize("name", CATALOG.ids("playbooks"))
DRILLS = pytest.mark.parametrize("name", CATALOG.ids("drills"))
IDS = {
    "atlas": r"AML\.T\d{4}(\.\d{3})?",
    "owasp_ml": r"ML(0[1-9]|10):2023",
    "owasp_llm": r"LLM(0[1-9]|10):2025",
    "nist_ai_rmf": r"(GOVERN|MAP|MEASURE|MANAGE) [1-6]\.\d{1,2}",
    "nist_ai_100_2": r"NISTAML\.0\d{1,2}",
}
CONTROL = r"S([1-9]|1[0-4])(\.[1-7])?-[A-Z]{0,2}\d{0,2}[a-f]?|(FN|X)-\d{1,2}"
CHANNELS = ("siem.", "notify.")
Habit = Callable[[tuple[str, ...]], str]


@DRILLS
def test_a_good_team_scores_high_in_the_order_of_the_playbook(name: str) -> None:
    result = rehearsed(name, ".yaml")
    assert result.score >= 0.95
    assert result.order is not None
    assert result.order >= 0.9
    assert all(not one.late for one in result.decisions)


@DRILLS
def test_an_unprepared_team_scores_low_and_gets_work_to_do(name: str) -> None:
    result = rehearsed(name, ".poor.yaml")
    assert result.score < 0.5
    assert result.improvements


@DRILLS
def test_nobody_passes_by_a_habit(name: str) -> None:
    drill = CATALOG.drill(name)
    for habit in (longest, shortest, first):
        for yes in (True, False):
            assert scored(drill, by_habit(drill, habit, yes=yes)).score < PASSED


@DRILLS
def test_decisions_stand_for_steps_and_roles_of_the_playbook(name: str) -> None:
    drill = CATALOG.drill(name)
    playbook = CATALOG.playbook(drill.playbook)
    steps = {step.id for step in playbook.steps}
    assert {one.step for one in drill.decisions if one.step} <= steps
    assert set(drill.roles) <= set(playbook.roles)


@DRILLS
def test_controls_and_references_of_a_drill_are_well_formed(name: str) -> None:
    drill = CATALOG.drill(name)
    assert not malformed(drill.references)
    assert drill.references.atlas
    assert [one for one in drill.controls if not re.fullmatch(CONTROL, one)] == []


def test_every_playbook_is_rehearsed_and_every_file_belongs_to_a_drill() -> None:
    drills = [CATALOG.drill(name) for name in CATALOG.ids("drills")]
    assert {drill.playbook for drill in drills} == set(CATALOG.ids("playbooks"))
    named = {drill.id.rpartition(".")[2] for drill in drills}
    wanted = {f"{name}{kind}" for name in named for kind in (".yaml", ".poor.yaml")}
    assert {file.name for file in FILES.iterdir()} == wanted


@PLAYBOOKS
@pytest.mark.parametrize("said", [None, True, False], ids=["unsaid", "true", "false"])
def test_a_dry_run_reaches_the_end(
    name: str, said: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    playbook = CATALOG.playbook(name)
    monkeypatch.setenv("PROOFHOUSE_HOME", str(tmp_path / "home"))
    facts = {} if said is None else dict.fromkeys(sorted(asked_facts(playbook)), said)
    work = take_up(name, incident(facts), world_of(read_settings()), dry_run=True)
    state = follow(work, by="a test")
    assert state.closed
    for step in playbook.steps:
        told = step.when if step.when and step.when.value.startswith("incident.") else None
        skipped = told is not None and said is not None and told.equals is not said
        assert state.standing(step) is (Standing.SKIPPED if skipped else Standing.DONE), step.id


@PLAYBOOKS
def test_every_action_exists(name: str) -> None:
    for step in actions(CATALOG.playbook(name)):
        assert step.action is not None
        module = f"tasks.response.actions.{step.action.name}"
        assert importlib.util.find_spec(module) is not None, step.id


@PLAYBOOKS
def test_flows_that_are_started_are_deployed_and_get_what_they_take(name: str) -> None:
    deployed = yaml.safe_load((catalog_root().parent / "infra" / "prefect.yaml").read_text())
    names = {one["name"] for one in deployed["deployments"]}
    for step in actions(CATALOG.playbook(name)):
        assert step.action is not None
        given = step.action.parameters
        if step.action.name == "orchestration.freeze" and "deployments" in given:
            assert given["deployments"] in names
        if step.action.name == "orchestration.start":
            assert given["deployment"] in names
            settings = json.loads(str(given.get("settings", "{}")))
            assert ("battery" in settings) == (given["deployment"] == "assess-asset"), step.id
            if "battery" in settings:
                assert CATALOG.battery(settings["battery"]).checks


@PLAYBOOKS
def test_nothing_waits_for_a_message_to_go_out(name: str) -> None:
    """A mail relay or SIEM that is down must not hold up containment."""
    playbook = CATALOG.playbook(name)
    messages = {
        step.id
        for step in actions(playbook)
        if step.action is not None and step.action.name.startswith(CHANNELS)
    }
    held_up = [step.id for step in playbook.steps if messages & set(playbook.before(step))]
    assert held_up == []


@PLAYBOOKS
def test_people_are_told_which_facts_steps_wait_for(name: str) -> None:
    playbook = CATALOG.playbook(name)
    instructions = " ".join(step.instruction for step in playbook.steps)
    unnamed = [
        fact for fact in asked_facts(playbook) if not re.search(rf"\b{fact}\b", instructions)
    ]
    assert unnamed == []


@PLAYBOOKS
def test_playbooks_cite_well_formed_ids(name: str) -> None:
    playbook = CATALOG.playbook(name)
    assert not malformed(playbook.references)
    assert playbook.references.nist_ai_rmf
    for step in actions(playbook):
        assert step.action is not None
        technique = step.action.parameters.get("techniques")
        assert technique is None or re.fullmatch(IDS["atlas"], str(technique)), step.id


@pytest.mark.skipif(not REFERENCE, reason="PROOFHOUSE_TEST_REFERENCE names no reference data")
@pytest.mark.parametrize("kind", ["playbooks", "drills", "live_drills"])
def test_every_id_that_is_cited_exists(
    kind: Literal["playbooks", "drills", "live_drills"],
) -> None:
    known = (known_in("mitre-atlas/ATLAS.yaml") | known_in("owasp-index.yaml")
             | known_in("nist-ai-rmf/ai-rmf-1.0-core.json")
             | known_in("nist-ai-100-2/ai-100-2-e2025-taxonomy.yaml"))  # fmt: skip
    with (Path(REFERENCE) / "control-map.csv").open(encoding="utf-8", newline="") as rows:
        controls = {row["id"] for row in csv.DictReader(rows)}
    for name in CATALOG.ids(kind):
        entry = cited_by(kind, name)
        cited = {one for catalog in IDS for one in getattr(entry.references, catalog)}
        assert cited <= known, name
        assert set(getattr(entry, "controls", ())) <= controls, name


def cited_by(kind: str, name: str) -> PlaybookEntry | DrillEntry | LiveDrillEntry:
    """Returns an entry that cites."""
    if kind == "live_drills":
        return CATALOG.live_drill(name)
    return CATALOG.playbook(name) if kind == "playbooks" else CATALOG.drill(name)


def known_in(place: str) -> set[str]:
    """Returns every id of a file of the reference data, by the forms of :data:`IDS`."""
    text = (Path(REFERENCE) / place).read_text(encoding="utf-8")
    patterns = "|".join(pattern.replace("(", "(?:") for pattern in IDS.values())
    return set(re.findall(rf"(?<![\w.])(?:{patterns})(?![\w.]|\.\d)", text))


def rehearsed(name: str, kind: str) -> DrillResult:
    drill = CATALOG.drill(name)
    file = FILES / f"{name.rpartition('.')[2]}{kind}"
    return scored(drill, read_document(file, Answers, what="answers"))


def scored(drill: DrillEntry, answers: Answers) -> DrillResult:
    return score(drill, CATALOG.playbook(drill.playbook), answers)


def longest(choices: tuple[str, ...]) -> str:
    return max(choices, key=len)


def shortest(choices: tuple[str, ...]) -> str:
    return min(choices, key=len)


def first(choices: tuple[str, ...]) -> str:
    return choices[0]


def by_habit(drill: DrillEntry, choose: Habit, *, yes: bool) -> Answers:
    """Answers every question at once, by a rule that knows nothing of its content."""
    given: dict[str, PlayerAnswer] = {}
    for one in drill.decisions:
        blind: dict[str, Given] = {"yes_no": yes, "text": "We look into it and keep you informed."}
        answer = choose(one.choices) if one.kind == "choice" else blind[one.kind]
        asked = drill.inject(one.after).at_minutes
        given[one.id] = PlayerAnswer(answer=answer, at_minutes=asked)
    return Answers(
        schema_="proofhouse.answers/1", drill=drill.id, held=datetime(2026, 11, 20, tzinfo=UTC),
        answers=given,
    )  # fmt: skip


def actions(playbook: PlaybookEntry) -> Iterator[Step]:
    yield from (step for step in playbook.steps if step.action is not None)


def asked_facts(playbook: PlaybookEntry) -> set[str]:
    """Returns the facts of the incident on which conditions rest."""
    values = [step.when.value for step in playbook.steps if step.when]
    return {value.partition(".")[2] for value in values if value.startswith("incident.")}


def malformed(references: References) -> list[str]:
    return [
        one
        for catalog, pattern in IDS.items()
        for one in getattr(references, catalog)
        if not re.fullmatch(pattern, one)
    ]


def incident(facts: dict[str, bool]) -> Incident:
    return Incident.model_validate(
        {
            "schema": "proofhouse.incident/1",
            "title": "Something is wrong with the reader",
            "detected": "2026-11-20T06:10:00Z",
            "aware": "2026-11-20T06:40:00Z",
            "asset": "acme/reader@2.4.0",
            "vendor": "Acme",
            "accounts": ["nordlicht-prod"],
            "facts": facts,
        }
    )
