"""Results of live-fire drills for tests of what is done with them."""

from datetime import timedelta
from typing import Any

from tasks.domain.estimate import Estimate
from tasks.domain.live_drill import LiveResult, Moment, Objective, Volley
from tests.tasks.response.live.fields import NOW

DRILL = "live.extraction_by_three_accounts"


def result(days: int = 0, **changed: Any) -> LiveResult:
    """A drill that was passed."""
    values: dict[str, Any] = {
        "drill": DRILL, "version": 1, "entry": "sha256:" + "0" * 64,
        "playbook": "sha256:" + "1" * 64, "team": "blue <team>", "held": NOW + timedelta(days=days),
        "faster": 2, "detected_by": "coverage_growth@25", "seconds_to_detect": 8.0,
        "seconds_to_contain": 1.5, "leaked_queries": 240,
        "fidelity": Estimate(value=0.57, low=0.51, high=0.63, n=297), "benign_requests": 300,
        "objectives": (
            Objective(name="detected", held=True, said="seen", vital=True),
            Objective(name="leaked queries", held=True, said="240, at most 600", value=240),
        ),
        "volleys": (
            Volley(at=0, attack_answered=10, benign_answered=5),
            Volley(at=9.5, attack_refused=12, benign_answered=4, benign_refused=1),
        ),
        "moments": (
            Moment(at=0, lane="attack", what="it begins"),
            Moment(at=8, lane="detection", what="<b>alarm</b>"),
            Moment(at=9.6, lane="containment", what="refused"),
            Moment(at=9.7, lane="people", what="declared"),
        ),
        "evidence": {"telemetry": "sha256:" + "2" * 64},
    }  # fmt: skip
    return LiveResult.model_validate(values | changed)


def failed(days: int = 0) -> LiveResult:
    """A drill in which nobody noticed and nothing was contained."""
    return result(
        days, detected_by="", seconds_to_detect=None, seconds_to_contain=None, fidelity=None,
        objectives=(Objective(name="detected", held=False, said="nobody noticed", vital=True),),
    )  # fmt: skip
