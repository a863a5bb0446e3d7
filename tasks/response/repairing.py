"""The response to a hidden trigger: what each repair leaves of it, and the repaired models."""

from tasks.domain.spec import Parameter

BATTERY, CHECK = "assessment.repair", "backdoor.repair"
TABLE, ROWS = "repairs.json", "repairs"


def settings(*, epochs: int) -> dict[str, dict[str, Parameter]]:
    """Returns the operator's parameters, as a plan takes them."""
    return {CHECK: {"epochs": epochs}}
