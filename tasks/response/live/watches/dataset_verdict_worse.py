"""The review of what is dropped: data whose verdict is refused."""

from collections.abc import Callable

from tasks.domain.finding import Verdict
from tasks.response.live.attacks.poisoned_rows import DELIVERY
from tasks.response.live.battle import Battle, Sighting
from tasks.response.live.watches.assessment_verdict_worse import assessed, sighting

BATTERY = "drill.delivery"


def watching(battle: Battle) -> Callable[[], list[Sighting]]:
    """Returns a look that reviews the delivery, once it is there."""
    done: list[bool] = []

    def look() -> list[Sighting]:
        if done or not battle.launched.is_set():
            return []
        done.append(True)
        record = assessed(battle, battle.left[DELIVERY], BATTERY)
        refused = record.decision.verdict is Verdict.REFUSED
        return [sighting(battle, record)] if refused else []

    return look
