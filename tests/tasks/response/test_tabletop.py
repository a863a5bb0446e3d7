"""Scoring and playing tabletop drills."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.catalog.reading import Catalog
from tasks.domain.drill import Answers, DrillResult
from tasks.domain.errors import InvalidInputError
from tasks.response.after_action import render_after_action
from tasks.response.playing import Table, play
from tasks.response.rehearsals import Closing, close_item, items, keep_result
from tasks.response.tabletop import score
from tests.simulators.store import MemoryStore
from tests.tasks.response.cases import world

DRILL = Catalog().drill("tabletop.backdoored_vendor_model")
PLAYBOOK = Catalog().playbook(DRILL.playbook)
HELD = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
BEST: dict[str, Any] = {
    "money": "Tell the fraud desk and treasury; recall the payments that are not executed.",
    "notify": "The banking regulator in time; GDPR: no notification; police: criminal complaint.",
    "back_in_use": "Its evidence verifies, a new assessment passed, we hold the alias.",
}


def best(decision: str) -> Any:
    found = next(one for one in DRILL.decisions if one.id == decision)
    return next((good.answer for good in found.good if good.share == 1), BEST.get(decision))


def answers(**changed: Any) -> Answers:
    """The best answers in time; ``changed`` gives (answer, minutes late) or None for silence."""
    given: dict[str, Any] = {}
    for decision in DRILL.decisions:
        answer, late = changed.get(decision.id, (best(decision.id), -1)) or (None, 0)
        if answer is not None:
            given[decision.id] = {"answer": answer, "at_minutes": DRILL.due(decision) + late}
    return Answers.model_validate(
        {
            "schema": "proofhouse.answers/1", "drill": DRILL.id, "team": "Blue", "held": HELD,
            "players": {"incident_lead": "Eve <b>Adams</b>"}, "answers": given,
        }
    )  # fmt: skip


def scored(**changed: Any) -> DrillResult:
    return score(DRILL, PLAYBOOK, answers(**changed))


def test_the_best_answers_in_time_score_everything() -> None:
    result = scored()
    assert result.score == pytest.approx(1)
    assert result.improvements == ()
    assert [one.name for one in result.milestones] == ["declare", "contain", "notify"]


def test_late_is_half_and_silence_is_nothing() -> None:
    total = sum(one.weight for one in DRILL.decisions)
    assert scored(declare=(True, 10)).score == pytest.approx(1 - 0.5 * 2 / total)
    silent = scored(declare=None)
    assert silent.score == pytest.approx(1 - 2 / total)
    assert silent.milestones[0].at is None
    assert [one.owner for one in silent.improvements] == ["Eve <b>Adams</b>"]
    assert silent.improvements[0].severity == "high"


def test_a_wrong_answer_reaches_no_milestone() -> None:
    result = scored(contain=("It goes on until the vendor answers", -1))
    assert {one.name: one.at for one in result.milestones}["contain"] is None


def test_an_answer_in_words_is_judged_by_what_it_mentions() -> None:
    result = scored(money=("We call the FRAUD-desk.", -1))
    row = next(one for one in result.decisions if one.decision == "money")
    assert row.share == pytest.approx(1 / 3)
    assert "payments" in row.said


def test_order_counts_pairs_of_the_playbook() -> None:
    assert scored().order is not None
    early = scored(suspend_vendor=None, vendor_trust=(True, -59))
    swapped = scored(declare=(True, 200))
    assert early.order is not None
    assert swapped.order is not None
    assert swapped.order < early.order


@pytest.mark.parametrize(
    ("changed", "words"),
    {
        "unknown drill": ({"drill": "tabletop.other"}, "the answers are to tabletop.other"),
        "unknown decision": (
            {"answers": {"coffee": {"answer": True, "at_minutes": 1}}},
            "no decision is called coffee",
        ),
        "before it was asked": (
            {"answers": {"money": {"answer": "fraud", "at_minutes": 3}}},
            "money was answered at 3, asked at 40",
        ),
        "no choice": (
            {"answers": {"contain": {"answer": "pray", "at_minutes": 20}}},
            "contain is answered by one of",
        ),
        "neither yes nor no": (
            {"answers": {"declare": {"answer": "perhaps", "at_minutes": 20}}},
            "declare is answered by true or false",
        ),
    }.values(),
)
def test_answers_that_do_not_fit_are_refused(changed: dict[str, Any], words: str) -> None:
    given = Answers.model_validate(answers().model_dump() | changed)
    with pytest.raises(InvalidInputError, match=words):
        score(DRILL, PLAYBOOK, given)


def test_a_report_shows_the_story_and_escapes_people() -> None:
    result = scored(declare=None, contain=("It goes on until the vendor answers", -1))
    html = render_after_action(DRILL, result)
    assert "data:image/png;base64," in html
    assert "Eve <b>" not in html
    assert "Eve &lt;b&gt;" in html
    assert "Nobody answered." in html


def test_results_are_kept_signed_and_items_are_closed_once(tmp_path: Any) -> None:
    place, store = world(tmp_path), MemoryStore()
    given = answers(declare=None)
    result = score(DRILL, PLAYBOOK, given)
    first = keep_result(result, given, store=store, signer=place.signer())
    assert keep_result(result, given, store=store, signer=place.signer()) == first
    assert Answers.parse(store.get(result.answers)) == given
    assert store.claimed(f"drills/{result.name}/answers") == result.answers.encode()
    (item,) = items(store)
    assert item.overdue(datetime(2027, 1, 1, tzinfo=UTC))
    closing = Closing(by="Eve", reason="the rule is written", at=HELD)
    close_item(store, item.improvement.name, closing)
    (closed,) = items(store)
    assert closed.closing == closing
    with pytest.raises(InvalidInputError, match="closed by Eve already"):
        close_item(store, item.improvement.name, closing)
    with pytest.raises(InvalidInputError, match="no improvement is called"):
        close_item(store, "item-0", closing)


class Player:
    """Answers what it is asked, on a clock that only moves by waiting."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines, self.now, self.heard = lines, 0.0, list[str]()

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def ask(self, prompt: str) -> str:
        self.heard.append(prompt)
        self.now += 30
        return next(self.lines, "")


def test_a_drill_is_played_at_a_terminal() -> None:
    player = Player(iter(["maybe", "yes", "9", "2", ""]))
    table = Table(lambda: player.now, player.wait, player.heard.append, player.ask)
    given = play(DRILL, table, faster=30)
    assert given["declare"].answer is True
    assert given["evidence_first"].answer == best("evidence_first")
    assert "contain" not in given
    # Two answers at half a minute each, on a clock that is thirty times faster.
    assert given["declare"].at_minutes == pytest.approx(30)
    assert any("'maybe' is no answer here" in line for line in player.heard)
