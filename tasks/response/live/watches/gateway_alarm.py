"""The gateway's own monitors: every new line of its alarms is an incident."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from tasks.gateway.telemetry import FLUSH_SECONDS
from tasks.response.live.alarms import AlarmFile, incident_of
from tasks.response.live.battle import Battle, Sighting


def watching(battle: Battle) -> Callable[[], list[Sighting]]:
    """Returns a look at what was raised since the last look.

    Monitors hear of all accounts at once, with each flush of telemetry: what one flush raises is
    one incident, so that accounts that work together are met together.
    """
    file = AlarmFile(battle.ground.home)
    raised: list[dict[str, Any]] = []

    def look() -> list[Sighting]:
        raised.extend(file.fresh())
        if not raised or time.time() - _raised_at(raised[0]) < FLUSH_SECONDS:
            return []
        lines, raised[:] = list(raised), []
        asset, facts = battle.ground.model.asset, battle.entry.facts
        incident = incident_of(lines, asset=asset, facts=facts)
        return [Sighting(by=str(lines[0]["monitor"]), at=incident.detected, incident=incident)]

    return look


def _raised_at(line: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(str(line["at"])).timestamp()
