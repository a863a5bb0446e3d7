"""Canary: a baseline of days under watch, then promotion or rollback on evidence."""

from typing import Any

from prefect import flow

from tasks.forms import Automatic, BaselineDays, BaselineRequests, CanaryAsset, LongestDays
from tasks.registry.stage import begin_baseline, look_again, rule_canaries


@flow(name="watch-canaries", flow_run_name="canary watch")
def watch_canaries(
    asset: CanaryAsset | None = None,
    days: BaselineDays = 7,
    longest: LongestDays = 14,
    requests: BaselineRequests = 200,
    automatic: Automatic = True,
) -> list[dict[str, Any]]:
    """Looks at canaries once: promotes, rolls back, asks a person, or schedules its next look.

    Named for one candidate, it begins that one's baseline. A run takes seconds; between looks
    nothing runs.

    Args:
        asset: One registered version; every canary when left out.
        days: Days and quiet nights that a baseline needs.
        longest: Days after which a person has to decide.
        requests: Requests that the canary must have answered.
        automatic: Act on the ruling; else only tell it.
    """
    if asset is not None:
        begin_baseline(asset)
    rulings = rule_canaries(asset, days, longest, requests, automatic)
    look_again(rulings, {"days": days, "longest": longest, "requests": requests})
    return rulings
