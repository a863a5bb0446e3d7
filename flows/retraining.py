"""Retraining: the response to a failed privacy gate, from a bundle to models under a budget."""

from typing import Any

from prefect import flow

from tasks.forms import AssetOrBundle
from tasks.intake.stage import take_in
from tasks.onboarding import asset_of, subject_of
from tasks.response.stage import retrain_privately
from tasks.runtime import name_run, start_workers, task_runner

EPSILONS = (1.0, 2.0, 4.0, 8.0)


@flow(name="retrain-model", flow_run_name="retrain {target}", task_runner=task_runner())
def retrain_model(
    target: AssetOrBundle,
    epsilons: tuple[float, ...] = EPSILONS,
    max_gradient_norm: float = 1.0,
    secure: bool = False,
) -> dict[str, Any]:
    """Trains an asset's layers again under each privacy budget, and once without noise.

    The new models are kept by digest with the claims that they may make; none is registered: it
    comes back as a bundle and is onboarded like every other.

    Args:
        target: Asset id as in the inventory, or the path of a bundle.
        epsilons: Privacy budgets, one model for each.
        max_gradient_norm: Where each row's gradient is clipped.
        secure: Draw the noise from a cryptographic source; slower.
    """
    subject = subject_of(target) or take_in(target)
    name_run(f"retrain {asset_of(subject)}")
    start_workers()
    work = retrain_privately.submit(subject, list(epsilons), max_gradient_norm, secure)
    document: dict[str, Any] = work.result()
    return document
