"""One clock for every shot and word of a drill."""

import time

from tasks.domain.live_drill import Moment
from tasks.response.live.record import BIN_SECONDS, Record


def test_seconds_count_from_the_first_shot() -> None:
    heard: list[Moment] = []
    record = Record(heard.append)
    record.shot("benign", "c", 1, None)
    record.tell("people", "before")
    time.sleep(0.02)
    record.first_shot()
    record.shot("attack", "a", 1, None)
    record.tell("attack", "fire")
    assert record.benign[0].at < 0
    assert record.moments[0].at < 0
    assert 0 <= record.attack[0].at < 10
    assert [moment.what for moment in heard] == ["before", "fire"]


def test_requests_are_counted_in_stretches() -> None:
    record = Record()
    record.first_shot()
    for reason in (None, None, "key"):
        record.shot("attack", "a", 1, reason)
    record.shot("benign", "c", 1, "rate")
    record.attack[-1] = record.attack[-1]._replace(at=2.2 * BIN_SECONDS)
    volleys = {volley.at: volley for volley in record.volleys()}
    assert volleys[0].attack_answered == 2
    assert volleys[0].benign_refused == 1
    assert volleys[2 * BIN_SECONDS].attack_refused == 1


def test_only_answers_of_an_account_are_its_answers() -> None:
    record = Record()
    record.shot("attack", "a", 1, None)
    record.shot("attack", "a", 1, "key")
    record.shot("attack", "b", 1, None)
    assert len(record.answered("a")) == 1
