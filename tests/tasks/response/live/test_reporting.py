"""What people read of a live-fire drill: the report, its picture, and the comparison."""

import base64
from collections.abc import Callable

import pytest

from tasks.catalog.reading import Catalog
from tasks.domain.live_drill import LiveResult
from tasks.response.after_action import render_live_fire
from tasks.response.live.comparing import compared, same_terms
from tasks.response.live.picture import contained_at, live_timeline
from tests.tasks.response.live.results import DRILL, failed, result

STATEMENT = "sha256:" + "3" * 64


def report(now: LiveResult, before: LiveResult | None = None) -> str:
    return render_live_fire(Catalog().live_drill(DRILL), now, statement=STATEMENT, before=before)


def test_the_report_is_one_file_that_loads_nothing() -> None:
    text = report(result())
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text
    assert "data:image/png;base64," in text
    assert "default-src 'none'" in text
    assert STATEMENT in text


def test_what_others_wrote_is_escaped() -> None:
    text = report(result())
    assert "<b>alarm</b>" not in text
    assert "blue <team>" not in text


@pytest.mark.parametrize(
    ("now", "word"),
    [
        (result(), "Contained</p>"),
        (failed(), "Not contained</p>"),
        (
            result(
                objectives=(
                    *result().objectives,
                    result().objectives[1].model_copy(update={"held": False}),
                )
            ),
            "Contained, with limits missed</p>",
        ),
    ],
)
def test_the_headline_says_what_came_out(now: LiveResult, word: str) -> None:
    assert word in report(now)


def test_the_picture_is_a_picture_whatever_is_missing() -> None:
    for one in (result(), failed(), result(volleys=(), moments=())):
        source = live_timeline(one)
        data = base64.b64decode(source.removeprefix("data:image/png;base64,"))
        assert data.startswith(b"\x89PNG")


def test_containment_is_on_the_clock_of_the_drill() -> None:
    assert contained_at(result()) == 9.5
    assert contained_at(failed()) is None


def test_numbers_are_compared_with_the_last_time() -> None:
    rows = {row.name: row for row in compared(result(seconds_to_contain=3.0), result(1))}
    contain = rows["seconds from detection to containment"]
    assert (contain.before, contain.now, contain.change) == ("3", "1.5", "better by 1.5")
    assert rows["leaked queries"].change == "as before"
    assert "better by 1.5" in report(result(1), result(seconds_to_contain=3.0))


def test_what_was_never_and_now_is_is_said() -> None:
    assert compared(None, result()) == ()
    assert "was not held here before" in report(result())
    rows = {row.name: row for row in compared(result(), failed(1))}
    assert rows["seconds to detect"].now == "never"
    assert rows["seconds to detect"].change == "now there is none"
    back = {row.name: row for row in compared(failed(), result(1))}
    assert back["seconds to detect"].change == "now there is one"


CHANGES: dict[str, Callable[[LiveResult], LiveResult]] = {
    "entry": lambda one: one.model_copy(update={"entry": "sha256:" + "9" * 64}),
    "playbook": lambda one: one.model_copy(update={"playbook": "sha256:" + "9" * 64}),
    "pace": lambda one: one.model_copy(update={"faster": 5.0}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_other_terms_are_another_drill_of_the_same_name(what: str) -> None:
    assert same_terms(result(), result(1))
    other = CHANGES[what](result())
    assert not same_terms(other, result(1))
    assert "another drill of the same name" in report(result(1), other)
