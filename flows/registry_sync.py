"""Registry sync: the inventory and MLflow show again what the promotion log says."""

from prefect import flow

from tasks.registry.stage import show_all


@flow(name="sync-registry", flow_run_name="sync registry")
def sync_registry() -> dict[str, list[str]]:
    """Writes every model's state to every mirror; returns what could not be shown, by model."""
    return show_all()
