"""Intake: bundles that were dropped into a folder or bucket, each content once."""

from pathlib import Path
from typing import Any

from prefect import flow

from flows.onboarding import onboard_model
from tasks.events.stage import look_at_drops, look_later
from tasks.forms import DropName, DropPlaceUrl
from tasks.runtime import task_runner


@flow(name="take-in-drops", flow_run_name="drops of {place}", task_runner=task_runner())
def take_in_drops(place: DropPlaceUrl, drop: DropName | None = None) -> list[dict[str, Any]]:
    """Onboards complete drops; looks again later at those that are not.

    However often the same content comes and whoever else looks, it is onboarded once.

    Args:
        place: Folder or s3://bucket/prefix.
        drop: One drop of it; all when left out.
    """
    results = look_at_drops(place, drop, lambda path: onboard_model(str(Path(path).resolve())))
    look_later(place, results)
    return results
