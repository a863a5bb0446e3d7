"""Every line of a gateway's alarms is kept at least once, and equal ones are one incident."""

from pathlib import Path

import pytest

from tasks.alarms import gateway_file
from tasks.alarms.gateway_file import POSITION, forward_alarms
from tasks.alarms.outbox import alarm_names, keep_alarm, known_alarm
from tasks.domain.alarm import Alarm
from tasks.domain.errors import StoreNotAnsweringError
from tasks.gateway.actions import gateway_folder
from tests.simulators.store import MemoryStore
from tests.tasks.alarms.lines import ASSET, append, file_of, gateway_raises


def names(store: MemoryStore) -> list[str]:
    return list(alarm_names(store))


def test_what_the_gateway_writes_becomes_an_incident(tmp_path: Path) -> None:
    store = MemoryStore()
    gateway_raises(tmp_path, "partner-1")
    gateway_raises(tmp_path, "partner-2", monitor="quota")
    first, second = forward_alarms(tmp_path, store).new
    assert (first.trigger, first.kinds) == ("gateway.alarm", ("nearest_distance",))
    assert (second.trigger, second.kinds) == ("gateway.quota_alert", ())
    incident = first.incident()
    assert (incident.asset, incident.vendor) == (ASSET, "Acme Vision")
    assert (incident.accounts, incident.facts) == (("partner-1",), {"accounts_known": True})
    assert incident.aware is None
    (line,) = incident.evidence
    assert store.get(line) == file_of(tmp_path).read_bytes().splitlines()[0]


def test_a_hundred_equal_alarms_are_one_incident(tmp_path: Path) -> None:
    store = MemoryStore()
    for minute in range(100):  # seen by several gateways, with other scores, at other moments
        append(tmp_path, "thief", at=f"2026-11-20T07:{minute % 60:02}:{minute % 6}0Z", score=minute)
    found = forward_alarms(tmp_path, store)
    assert (len(found.new), found.known) == (1, 99)
    assert len(store.objects) == 1, "the first line is the evidence; repetitions leave nothing"
    first = known_alarm(found.new[0].name, store)
    (gateway_folder(tmp_path) / POSITION).unlink()  # a crash before the position was moved
    assert forward_alarms(tmp_path, store)[:2] == ((), 100)
    assert known_alarm(first.name, store).incident().name == first.incident().name


@pytest.mark.parametrize(
    "changed",
    [{"monitor": "flood"}, {"asset": "Acme/b@1"}, {"at": "2026-11-27T06:10:00Z"}],
    ids=["another monitor", "another version", "another week"],
)
def test_another_alarm_is_another_incident(tmp_path: Path, changed: dict[str, str]) -> None:
    append(tmp_path, "thief")
    append(tmp_path, "thief", **changed)
    assert len(forward_alarms(tmp_path, MemoryStore()).new) == 2


def test_only_new_lines_are_read_and_a_cut_line_waits(tmp_path: Path) -> None:
    store = MemoryStore()
    append(tmp_path, "one")
    assert len(forward_alarms(tmp_path, store).new) == 1
    append(tmp_path, "two")
    whole = file_of(tmp_path).read_bytes()
    file_of(tmp_path).write_bytes(whole[:-20])
    assert forward_alarms(tmp_path, store) == ((), 0, 0)
    file_of(tmp_path).write_bytes(whole)
    found = forward_alarms(tmp_path, store)
    assert ([alarm.accounts for alarm in found.new], found.known) == ([("two",)], 0)


def test_a_file_that_was_replaced_is_read_from_its_start(tmp_path: Path) -> None:
    store = MemoryStore()
    append(tmp_path, "one", "two", "three")
    forward_alarms(tmp_path, store)
    file_of(tmp_path).unlink()
    append(tmp_path, "four", "five", "six", "seven")
    assert len(forward_alarms(tmp_path, store).new) == 4
    (gateway_folder(tmp_path) / POSITION).write_text("{")
    assert forward_alarms(tmp_path, store).known == 4


@pytest.mark.parametrize(
    "line",
    [b"{", b"[]", b"\xff\xfe", b'{"account": ""}', b"9" * 200_000, b"[" * 50_000],
    ids=["cut", "list", "bytes", "fields", "endless", "deep"],
)
def test_a_damaged_line_stops_nothing(tmp_path: Path, line: bytes) -> None:
    store = MemoryStore()
    append(tmp_path, "one")
    with file_of(tmp_path).open("ab") as stream:
        stream.write(line + b"\n")
    append(tmp_path, "two")
    found = forward_alarms(tmp_path, store)
    assert [alarm.accounts for alarm in found.new] == [("one",), ("two",)]
    assert found.damaged >= 1
    assert forward_alarms(tmp_path, store) == ((), 0, 0)


def test_a_store_that_is_away_loses_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    append(tmp_path, "one", "two", "three")
    seen = 0

    def failing(alarm: Alarm, place: MemoryStore) -> object:
        nonlocal seen
        seen += 1
        if seen == 2:
            raise StoreNotAnsweringError("no answer in 60 s")
        return keep_alarm(alarm, place)

    monkeypatch.setattr(gateway_file, "keep_alarm", failing)
    with pytest.raises(StoreNotAnsweringError):
        forward_alarms(tmp_path, store)
    found = forward_alarms(tmp_path, store)
    assert (len(found.new), found.known, len(names(store))) == (2, 1, 3)
