"""Rollback: the previous champion serves again, the present one is out of service."""

from typing import Any

from prefect import flow

from tasks.forms import Leaving, ModelName, Reason
from tasks.registry.stage import roll_back_champion


@flow(name="roll-back-model", flow_run_name="roll back {model}", retries=1)
def roll_back_model(
    model: ModelName, reason: Reason, leaving: Leaving | None = None
) -> dict[str, Any]:
    """Goes back to the latest earlier champion that may still be loaded.

    Args:
        model: vendor/name of a registered model.
        reason: Why; signed and kept.
        leaving: Only if this version is champion now.
    """
    return roll_back_champion(model, reason, leaving)
