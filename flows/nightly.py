"""Nightly: every live asset by tier; what is unchanged costs nothing, what changed is explained."""

from typing import Any

from prefect import flow

from tasks.alarms.stage import verify_registered
from tasks.forms import Alpha, OnlyAssets, Zone
from tasks.nightly.stage import begin_night, close_night, look_at_all, renew_all
from tasks.runtime import start_workers, task_runner


@flow(
    name="reassess-nightly",
    flow_run_name="nightly",
    task_runner=task_runner(),
    retries=2,
    retry_delay_seconds=60,
)
def reassess_nightly(
    zone: Zone = "UTC", alpha: Alpha = 0.05, only: OnlyAssets = ()
) -> dict[str, Any]:
    """Reassesses every live asset and signs the night; returns what ``nightly --json`` prints.

    A night that was killed is resumed by the next run of the same day: what was sealed is not
    measured again. An asset that fails is told and stops no other.

    Args:
        zone: Time zone whose date names the night.
        alpha: Chance of ever raising a false alarm about one check of one version.
        only: Ids of assets; all that are live when empty.
    """
    start_workers()
    night = begin_night(zone, only)
    looks = look_at_all(night, alpha)
    rows = renew_all(looks, alpha)
    verify_registered()
    return close_night(night["night"], night["started"], alpha, rows)
