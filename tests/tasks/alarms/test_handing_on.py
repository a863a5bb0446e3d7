"""An alarm is told of until somebody has answered it, and outside senders are believed by proof."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.alarms.handing_on import AGAIN_SECONDS, LONGEST_SECONDS, Forwarder
from tasks.alarms.outbox import Answer, alarm_names, keep_answer
from tasks.events.reading import Notice
from tasks.events.stage import AUTOMATIONS, NotHandedOnError
from tests.simulators.store import MemoryStore
from tests.tasks.alarms.lines import append
from tests.tasks.events.test_receiver import Office
from tests.tasks.events.webhooks import generic_headers

REPORT = json.dumps(
    {
        "schema": "proofhouse.alarm/1",
        "trigger": "report.external",
        "title": "Our training data is for sale",
        "detected": "2026-11-20T06:10:00Z",
        "source": "journalist",
        "asset": "Acme/reader@1",
    }
).encode()


class Room:
    """A forwarder whose clock a test moves."""

    def __init__(self, home: Path) -> None:
        self.store, self.notices, self.now = MemoryStore(), list[Notice](), 0.0
        self.emit: Callable[[Notice], None] = self.notices.append
        self.forwarder = Forwarder(home, self.store, self._emit, clock=lambda: self.now)

    def _emit(self, notice: Notice) -> None:
        self.emit(notice)

    def passes(self, *moments: float) -> int:
        """Makes a pass at each moment; returns how many notices that were."""
        count = len(self.notices)
        for self.now in moments:
            self.forwarder.one_pass()
        return len(self.notices) - count


def test_a_new_line_is_told_at_once_and_an_answered_alarm_no_more(tmp_path: Path) -> None:
    room = Room(tmp_path)
    assert room.passes(0) == 0
    append(tmp_path, "thief", "thief")
    assert room.passes(2, 4, 6) == 1
    (notice,) = room.notices
    assert notice.event == "proofhouse.gateway.alarm"
    (name,) = alarm_names(room.store)
    assert (notice.payload["alarm"], notice.payload["accounts"]) == (name, "thief")
    keep_answer(name, Answer(), room.store)
    assert room.passes(3 * AGAIN_SECONDS, 9 * AGAIN_SECONDS) == 0


def test_what_nobody_answers_is_told_again_less_and_less_often(tmp_path: Path) -> None:
    room = Room(tmp_path)
    append(tmp_path, "thief")
    day = [float(second) for second in range(0, 86_400, 10)]
    assert 20 <= room.passes(*day) <= 24 + 86_400 / LONGEST_SECONDS
    assert len({notice.identity for notice in room.notices}) == len(room.notices)


def test_a_server_that_is_away_is_asked_again(tmp_path: Path) -> None:
    room = Room(tmp_path)

    def away(notice: Notice) -> None:
        raise NotHandedOnError("no Prefect server")

    room.emit = away
    append(tmp_path, "thief")
    assert room.passes(0, 10, 20) == 0
    room.emit = room.notices.append
    assert room.passes(30, AGAIN_SECONDS + 1) == 1


def test_every_trigger_has_its_automation() -> None:
    (events,) = (events for name, events, _, _ in AUTOMATIONS if name == "answer an alarm")
    assert {"proofhouse.gateway.alarm", "proofhouse.report.external"} <= events


def test_a_report_from_outside_is_kept_and_told_once() -> None:
    store = MemoryStore()
    office = Office(store=store)
    for _ in range(3):
        answer = office.post("alarm", REPORT, generic_headers(REPORT))
        assert answer.status_code == 200, answer.json()
    later = REPORT.replace(b"06:10", b"09:44")
    assert office.post("alarm", later, generic_headers(later)).json() == {"new": 0, "known": 1}
    (notice,) = office.notices
    assert notice.event == "proofhouse.report.external"
    assert list(alarm_names(store, waiting=True)) == [notice.payload["alarm"]]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (REPORT.replace(b"report.external", b"report.internal"), 400),
        (REPORT.replace(b"proofhouse.alarm/1", b"proofhouse.alarm/2"), 400),
        (b'{"surprise": 1}', 400),
    ],
)
def test_what_is_no_alarm_is_refused(body: bytes, status: int) -> None:
    assert Office().post("alarm", body, generic_headers(body)).status_code == status


def test_an_alarm_without_proof_is_nobodys() -> None:
    store = MemoryStore()
    headers = generic_headers(REPORT, secret=b"another")
    assert Office(store=store).post("alarm", REPORT, headers).status_code == 401
    assert list(alarm_names(store)) == []
