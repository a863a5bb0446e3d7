"""Capturing what suspicious accounts asked, and rebuilding the copy that they could have made."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest

from tasks.domain.digest import Digest
from tasks.gateway.actions import gateway_folder, note
from tasks.ledger.envelope import Moment, verify_envelope
from tasks.ledger.statement import moment_of
from tasks.response.acting import Acted, ActionError, World, undoing
from tasks.response.actions.evidence.capture import PAYLOAD_TYPE
from tests.simulators.sandbox import DirectSandbox
from tests.tasks.response.cases import world
from tests.tasks.response.telemetry import inputs, rows_of, sealed
from tests.tasks.response.test_actions import done, order

THIEF, HONEST = "thief", "customer"


@pytest.fixture
def place(tmp_path: Path) -> World:
    made = world(tmp_path)._replace(sandbox=DirectSandbox)
    gateway_folder(made.home).mkdir(parents=True)
    return made


def asked(place: World, *, kept: bool = True, queries: int = 300, others: int = 200) -> None:
    rows = rows_of(THIEF, inputs(queries, 1), kept=kept)
    sealed(place.store, [*rows, *rows_of(HONEST, inputs(others, 2), kept=kept)])


def capture(place: World, *accounts: str) -> Acted:
    return done("evidence.capture", order(accounts=accounts or (THIEF,)), place)


def simulate(place: World, captured: Acted, **parameters: Any) -> Acted:
    said = {name: captured.said[name] for name in ("captured", "features")}
    return done("extraction.simulate", order("simulate", **{**said, **parameters}), place)


def captured_rows(place: World, acted: Acted) -> list[dict[str, Any]]:
    data = place.store.get(Digest(str(acted.said["captured"])))
    rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(data)).to_pylist()
    return rows


def statement(place: World, acted: Acted) -> dict[str, Any]:
    opened = verify_envelope(
        place.store.get(Digest(acted.evidence[0])), payload_type=PAYLOAD_TYPE,
        trust=place.trust(), dated=_taken, place="the capture",
    )  # fmt: skip
    told: dict[str, Any] = json.loads(opened.payload)
    return told


def _taken(payload: bytes) -> Moment:
    return Moment(moment_of(json.loads(payload)["custody"]["taken"], place="the capture"))


def test_what_the_accounts_asked_is_sealed_and_nobody_elses(place: World) -> None:
    asked(place)
    acted = capture(place)
    assert acted.said["queries"] == 300
    assert {row["account"] for row in captured_rows(place, acted)} == {THIEF}
    told = statement(place, acted)
    assert told["accounts"] == [THIEF]
    assert told["rows"]["digest"] == acted.said["captured"]
    assert told["window"][0].startswith("1970-01-01T00:00:00")


def test_a_capture_that_is_done_twice_is_the_first_one(place: World) -> None:
    asked(place)
    first = capture(place)
    sealed(place.store, rows_of(THIEF, inputs(5, 9), start=1000), batch="later")
    assert capture(place).said == first.said
    assert undoing("evidence.capture") is None


def test_rows_that_wait_in_a_spool_are_captured_once(place: World) -> None:
    asked(place)
    spool = gateway_folder(place.home) / "spool"
    spool.mkdir()
    waiting = rows_of(THIEF, inputs(7, 3), start=500)
    lines = b"".join(orjson.dumps(row) + b"\n" for row in waiting)
    (spool / "b.jsonl").write_bytes(lines + b'{"account": "thief", "half a li')
    # Sealed this moment and not yet removed: it must not count twice.
    (spool / "a.jsonl").write_bytes(lines)
    assert capture(place).said["queries"] == 307


def test_refused_questions_are_rows_and_no_answers(place: World) -> None:
    rows = rows_of(THIEF, inputs(3, 1))
    refused = rows_of(THIEF, inputs(2, 4), status=429, label=None, input_hash=None, start=50)
    sealed(place.store, [*rows, *refused])
    acted = capture(place)
    assert acted.said["queries"] == 3
    assert statement(place, acted)["rows"]["count"] == 5


def test_how_the_gateway_was_started_says_what_is_kept(place: World) -> None:
    asked(place)
    assert capture(place).said["features"] == "unknown"
    note(gateway_folder(place.home), "start", features="raw", filters={"partner": ["top_k"]})
    other = done("evidence.capture", order("again", accounts=(THIEF,)), place)
    assert other.said["features"] == "raw"
    told = statement(place, other)
    assert told["gateway"][0]["filters"] == {"partner": ["top_k"]}


def test_nobody_to_capture_is_told(place: World) -> None:
    asked(place)
    with pytest.raises(ActionError, match="no telemetry of nobody"):
        capture(place, "nobody")


def test_a_copy_of_much_is_confirmed_with_an_interval(place: World) -> None:
    asked(place, queries=600)
    acted = simulate(place, capture(place), worth_protecting=0.6)
    assert acted.said["fidelity"] > 0.8  # type: ignore[operator]  # it is a number
    assert acted.said["low"] < acted.said["fidelity"] < acted.said["high"]  # type: ignore[operator]
    assert acted.said["incident.extraction_confirmed"] is True
    assert acted.said["settled"] is True
    assert "at least" in acted.detail
    kept = json.loads(place.store.get(Digest(acted.evidence[0])))
    assert kept["natural"]["value"] > 0.5
    assert kept["held"] + kept["natural_queries"] == 200


def test_a_poor_copy_clears_nobody_while_telemetry_keeps_less_than_the_thief_knows(
    place: World,
) -> None:
    asked(place, queries=4)
    acted = simulate(place, capture(place), worth_protecting=0.99)
    assert acted.said["lower_bound"] is True
    assert acted.said["settled"] is False
    assert "incident.extraction_confirmed" not in acted.said


def test_a_poor_copy_clears_when_whole_inputs_were_kept(place: World) -> None:
    asked(place, queries=4)
    acted = simulate(place, capture(place), worth_protecting=0.99, features="raw")
    assert acted.said["lower_bound"] is False
    assert acted.said["incident.extraction_confirmed"] is False


def test_hashes_alone_are_a_copy_of_what_was_asked_literally(place: World) -> None:
    same = inputs(60, 2)
    sealed(
        place.store,
        [*rows_of(THIEF, same[:40], kept=False), *rows_of(HONEST, same, kept=False)],
    )
    acted = simulate(place, capture(place))
    assert acted.said["lower_bound"] is True
    # Two thirds of the questions are known word for word, the rest are guessed.
    assert 0.5 < acted.said["fidelity"] < 1  # type: ignore[operator]


def test_too_few_other_answers_are_told(place: World) -> None:
    asked(place, others=20)
    with pytest.raises(ActionError, match="too few to compare with"):
        simulate(place, capture(place))


def test_only_answers_of_the_incidents_model_count(place: World) -> None:
    asked(place, queries=50, others=80)
    sealed(place.store, rows_of(HONEST, inputs(500, 7), model="Acme/other@1"), batch="other")
    acted = simulate(place, capture(place))
    kept = json.loads(place.store.get(Digest(acted.evidence[0])))
    assert kept["held"] == 40


def test_nothing_answered_is_nothing_to_copy(place: World) -> None:
    sealed(place.store, rows_of(THIEF, np.zeros((1, 4), np.float32), status=429))
    with pytest.raises(ActionError, match="none of the captured"):
        simulate(place, capture(place))
