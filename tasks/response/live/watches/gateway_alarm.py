"""The gateway's own monitors: every new line of its alarms is an incident."""

from collections.abc import Callable
from datetime import datetime

from tasks.response.live.alarms import AlarmFile, incident_of
from tasks.response.live.battle import Battle, Sighting


def watching(battle: Battle) -> Callable[[], list[Sighting]]:
    """Returns a look at what was raised since the last look, one incident for each account."""
    file = AlarmFile(battle.ground.home)

    def look() -> list[Sighting]:
        return [
            Sighting(
                by=str(line["monitor"]),
                at=datetime.fromisoformat(line["at"]),
                incident=incident_of(
                    [line], asset=battle.ground.model.asset, facts=battle.entry.facts
                ),
            )
            for line in file.fresh()
        ]

    return look
