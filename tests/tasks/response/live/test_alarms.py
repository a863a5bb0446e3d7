"""From the gateway's alarms to incidents."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tasks.gateway.actions import gateway_folder
from tasks.response.live.alarms import AlarmFile, incident_of, trigger_of


def line(account: str = "acme", second: int = 1, monitor: str = "flood@25") -> dict[str, Any]:
    return {
        "at": f"2026-11-01T06:00:0{second}+00:00", "account": account, "monitor": monitor,
        "score": 3.2, "threshold": 2.0, "queries": 75,
    }  # fmt: skip


def test_the_earliest_alarm_dates_the_incident_and_all_accounts_are_in_it() -> None:
    found = incident_of([line("b", 4), line("a", 2)], asset="Acme/x@1", facts={"known": True})
    assert found.detected == datetime(2026, 11, 1, 6, 0, 2, tzinfo=UTC)
    assert found.accounts == ("a", "b")
    assert found.asset == "Acme/x@1"
    assert found.facts == {"known": True}
    assert "b: flood@25 at 3.2, threshold 2, after 75 queries" in found.summary
    assert found == incident_of(
        [line("b", 4), line("a", 2)], asset="Acme/x@1", facts={"known": True}
    )


def test_quotas_and_monitors_trigger_what_playbooks_name() -> None:
    assert trigger_of(line(monitor="quota")) == "gateway.quota_alert"
    assert trigger_of(line()) == "gateway.alarm"


def test_a_line_is_read_once_and_only_when_it_is_whole(tmp_path: Path) -> None:
    file = AlarmFile(tmp_path)
    assert file.fresh() == []
    path = gateway_folder(tmp_path) / "alarms.jsonl"
    path.parent.mkdir()
    whole, half = json.dumps(line("a")) + "\n", json.dumps(line("b"))
    path.write_text(whole + half[:20], encoding="utf-8")
    assert [each["account"] for each in file.fresh()] == ["a"]
    assert file.fresh() == []
    path.write_text(whole + half + "\n", encoding="utf-8")
    assert [each["account"] for each in file.fresh()] == ["b"]
