"""From lines of the gateway's ``alarms.jsonl`` to an incident that a playbook can be started with.

The lines are what the monitors wrote down; what a line means is said here once, so that whoever
watches the file (a drill, a flow, a person) opens the same incident for the same line.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tasks.domain.incident import Fact, Incident
from tasks.gateway.actions import gateway_folder

QUOTA = "quota"
TRIGGERS = {QUOTA: "gateway.quota_alert"}
ALARM = "gateway.alarm"
"""What every other monitor triggers."""
Line = Mapping[str, Any]


def trigger_of(line: Line) -> str:
    """Returns the event that a line stands for, as playbooks name their triggers."""
    return TRIGGERS.get(str(line["monitor"]), ALARM)


def incident_of(
    lines: Sequence[Line], *, asset: str = "", facts: Mapping[str, Fact] | None = None
) -> Incident:
    """Returns the incident that alarms about some accounts are: the first line dates it.

    Args:
        lines: At least one, as the gateway wrote them.
        asset: The model that was asked, where it is known.
        facts: What else is known.
    """
    first = min(lines, key=lambda line: str(line["at"]))
    accounts = tuple(sorted({str(line["account"]) for line in lines}))
    said = "; ".join(
        f"{line['account']}: {line['monitor']} at {float(line['score']):.3g}, threshold "
        f"{float(line['threshold']):.3g}, after {line['queries']} queries"
        for line in lines
    )
    return Incident(
        schema_="proofhouse.incident/1",
        title=f"Abuse alarm: {first['monitor']} on {', '.join(accounts)}"[:300],
        detected=datetime.fromisoformat(str(first["at"])),
        reported_by=f"monitor {first['monitor']}",
        summary=said[:4000],
        asset=asset,
        accounts=accounts,
        facts=dict(facts or {}),
    )


class AlarmFile:
    """Reads what was added to a home's alarms since the last look."""

    def __init__(self, home: Path) -> None:
        self._path = gateway_folder(home) / "alarms.jsonl"
        self._offset = 0

    def fresh(self) -> list[dict[str, Any]]:
        """Returns the new whole lines; a line that is still being written waits."""
        return list(self._lines())

    def _lines(self) -> Iterator[dict[str, Any]]:
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._offset)
                for line in stream:
                    if not line.endswith(b"\n"):
                        return
                    self._offset += len(line)
                    yield json.loads(line)
        except FileNotFoundError:
            return
