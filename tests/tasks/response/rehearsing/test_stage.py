"""A drill in forms: typed questions, a clock, a session that survives, one result."""

import json
import types
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.input import RunInput
from pydantic import ValidationError

from tasks.casework import world_of
from tasks.commands.drills import drill_answer
from tasks.domain.drill import Answers, PlayerAnswer
from tasks.domain.errors import InvalidInputError
from tasks.forms import NEXT, NEXT_LIVE, LiveForm, TableForm
from tasks.response.rehearsals import longest_ago, tabletops_held
from tasks.response.rehearsing import stage
from tasks.response.rehearsing.sessions import SESSIONS, Session
from tasks.response.rehearsing.stage import form_of, hold
from tasks.response.wording import plain
from tasks.settings import read_settings
from tests.tasks.response.live.results import result
from tests.tasks.response.rehearsing.small import DRILL, catalog_of

GOOD: dict[str, Any] = {
    "begin": {"team": "Blue", "lead": "Eve Adams"},
    "declare-it": {"answer": True, "by": "Eve"},
    "contain-it": {"answer": "take it out"},
    "say-it": {"answer": "the run and its evidence"},
    "tell-them": {"answer": True, "by": "Ann"},
}
OPEN = {"answer": "wait and see", "leave_open": True}
BEGAN = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
TABLE = TableForm(faster=10_000, session="session-" + "0" * 20)


class Players:
    """Answers what it is asked, half a story minute after each inject; can leave in the middle."""

    def __init__(self, told: dict[str, Any] = GOOD, leave_at: str = "") -> None:
        self.told, self.leave_at = told, leave_at
        self.asked: list[str] = []
        self.shown: list[str] = []
        self.seconds = 0.0

    def __call__(self, form: type[RunInput], *, key: str) -> tuple[RunInput, datetime]:
        name = key.removeprefix(f"{TABLE.session}-")
        if name == self.leave_at:
            raise KeyboardInterrupt
        self.asked.append(name)
        self.shown.append(str(form._description))
        self.seconds += 0.03 if name != "begin" else 0
        return form.model_validate(self.told[name]), BEGAN + timedelta(seconds=self.seconds)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROOFHOUSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PROOFHOUSE_CATALOGS", str(catalog_of(tmp_path)))
    return tmp_path / "home"


@pytest.fixture
def stories(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(stage, "create_markdown_artifact", lambda text, **_: found.append(text))
    return found


def held(monkeypatch: pytest.MonkeyPatch, players: Players) -> dict[str, Any]:
    monkeypatch.setattr(stage, "_answered", players)
    return hold(DRILL.id, TABLE, LiveForm())


def test_a_drill_in_forms_is_scored_like_the_same_answers_in_a_file(
    home: Path, stories: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    players = Players()
    document = held(monkeypatch, players)
    assert players.asked == list(GOOD)
    assert (document["score"], document["passed"]) == (1.0, True)
    assert [one["at"] for one in document["decisions"]] == [5.0, 10.0, 15.0, 20.0]
    assert Path(document["report"]).is_file()
    file = tmp_path / "answers.json"
    store = world_of(read_settings()).store
    kept = Answers.parse(store.get(document["evidence"]["answers"]))
    assert (kept.team, kept.players) == ("Blue", {"lead": "Eve Adams"})
    file.write_text(json.dumps(kept.model_dump(mode="json")))
    told = drill_answer(DRILL.id, file, faster=1, team="", out=None)
    assert told.document["name"] == document["name"]


def test_players_see_the_story_so_far_and_no_markup(
    home: Path, stories: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    players = Players()
    held(monkeypatch, players)
    first, second, third, result = stories
    assert "A \\*trigger\\* was found" in first
    assert "The press" not in second
    assert "\\<b\\>here" in second
    assert "Do you declare an incident? **yes (minute 5, Eve)**" in third
    assert "100 of 100 (Blue)" in result
    assert "wait until everybody is here" in players.shown[0]
    assert "Incident lead, by minute 5: Do you declare" in players.shown[1]


@pytest.mark.parametrize("at", list(GOOD))
def test_a_run_that_dies_is_followed_and_asks_nothing_twice(
    home: Path, stories: list[str], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    first = Players(leave_at=at)
    with pytest.raises(KeyboardInterrupt):
        held(monkeypatch, first)
    second = Players()
    second.seconds = first.seconds
    document = held(monkeypatch, second)
    assert first.asked + second.asked == list(GOOD)
    assert sum("# A small drill" in story for story in stories) <= len(DRILL.injects) + 1
    assert document["score"] == 1.0
    again = held(monkeypatch, Players())
    assert again == document, "held once, however often the run starts"


def test_an_open_question_is_no_answer_and_lateness_counts(
    home: Path, stories: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    players = Players(GOOD | {"say-it": {"answer": ""}, "contain-it": OPEN})
    players.seconds = 0.03  # the first answer comes five story minutes later
    document = held(monkeypatch, players)
    decisions = {one["decision"]: one for one in document["decisions"]}
    assert decisions["declare_it"]["worth"] == 0.5
    assert decisions["say_it"]["at"] is None
    assert decisions["contain_it"]["at"] is None
    owners = {one["decision"]: one["owner"] for one in document["improvements"]}
    assert owners["contain_it"] == "Eve Adams"


def test_of_two_answers_the_first_counts(home: Path) -> None:
    session = Session(world_of(read_settings()).store, "session-1")
    one = DRILL.decisions[0]
    assert session.give(one, PlayerAnswer(answer=True, at_minutes=1))
    assert not session.give(one, PlayerAnswer(answer=False, at_minutes=2))
    given = session.given(one)
    assert given is not None
    assert given.answer is not None
    assert given.answer.answer is True


def test_forms_take_only_answers_of_their_kind() -> None:
    yes_no, choice, text, _ = (form_of(one) for one in DRILL.decisions)
    assert yes_no.model_json_schema()["properties"]["answer"]["type"] == "boolean"
    assert choice.model_json_schema()["properties"]["answer"]["enum"] == [
        "take it out", "wait and see",
    ]  # fmt: skip
    for form, wrong in (
        (yes_no, "perhaps"),
        (choice, "run away"),
        (choice, None),
        (text, "x" * 8001),
    ):
        with pytest.raises(ValidationError):
            form.model_validate({"answer": wrong})


def test_a_drill_that_was_changed_meanwhile_is_not_gone_on_with(
    home: Path, stories: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        held(monkeypatch, Players(leave_at="say-it"))
    file = home.parent / "catalogs" / "drills" / "tabletop" / "small.yaml"
    file.write_text(file.read_text().replace("minutes: 60", "minutes: 61"))
    with pytest.raises(InvalidInputError, match="was changed since"):
        held(monkeypatch, Players())


def test_a_long_pause_of_the_story_is_another_run(
    home: Path, stories: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[dict[str, Any]] = []
    monkeypatch.setattr(stage, "run_deployment", lambda _, **told: runs.append(told))
    monkeypatch.setattr(stage, "deployment", types.SimpleNamespace(id="1"))
    players = Players()
    monkeypatch.setattr(stage, "_answered", players)
    now = datetime.now(UTC)
    monkeypatch.setattr(stage, "_answered", lambda form, key: (players(form, key=key)[0], now))
    table = TABLE.model_copy(update={"faster": 1})
    told = hold(DRILL.id, table, LiveForm())
    assert (players.asked, told["session"]) == (["begin", "declare-it"], TABLE.session)
    (run,) = runs
    assert run["parameters"] == {"drill": DRILL.id, "table": {"session": TABLE.session}}
    assert run["idempotency_key"] == f"{TABLE.session} spread"
    assert timedelta(minutes=9) < run["scheduled_time"] - now < timedelta(minutes=11)


def test_the_drill_that_was_held_longest_ago_is_next(
    home: Path, stories: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_answered", Players())
    assert hold(NEXT, TABLE, LiveForm())["drill"] == DRILL.id
    store = world_of(read_settings()).store
    held = tabletops_held(store)
    assert longest_ago(["tabletop.small", "tabletop.other"], held) == "tabletop.other"
    assert longest_ago(["tabletop.small"], held) == "tabletop.small"
    with pytest.raises(InvalidInputError, match="no drill"):
        longest_ago([], held)
    assert any(name.startswith(SESSIONS) for name in store.claims())


@pytest.mark.parametrize(
    ("asked", "fired"),
    [("live.leaked_key", "live.leaked_key"), (NEXT_LIVE, "live.evasion_campaign")],
)
def test_a_live_fire_drill_is_fired(
    home: Path, monkeypatch: pytest.MonkeyPatch, asked: str, fired: str
) -> None:
    monkeypatch.delenv("PROOFHOUSE_CATALOGS")
    calls: list[tuple[str, dict[str, Any]]] = []

    def live_fire(name: str, **told: Any) -> Any:
        calls.append((name, told))
        return types.SimpleNamespace(statement="sha256:1", result=result(drill=name))

    monkeypatch.setattr("tasks.drilling.live_fire", live_fire)
    told = hold(asked, TableForm(team="Blue"), LiveForm(faster=2, seed=7))
    assert calls == [(fired, {"faster": 2, "team": "Blue", "seed": 7})]
    assert (told["drill"], told["statement"]) == (fired, "sha256:1")


def test_what_could_be_markup_is_text() -> None:
    assert plain("<script>\n# *x* [y](z) `q`") == "\\<script\\> \\# \\*x\\* \\[y\\](z) \\`q\\`"
