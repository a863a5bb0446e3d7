"""The few calls of the orchestrator's HTTP API that responses need."""

from typing import Any

import httpx

from tasks.response.acting import ActionError, World


def deployments(world: World) -> list[dict[str, Any]]:
    """Returns every deployment as the API tells it.

    Raises:
        ActionError: There is no API, or it does not answer.
    """
    rows = call(world, "POST", "/deployments/filter", {})
    return rows if isinstance(rows, list) else []


def call(world: World, method: str, path: str, body: dict[str, Any]) -> Any:
    """Makes one call and returns its JSON answer.

    Raises:
        ActionError: There is no API, or it does not answer with success.
    """
    if not world.prefect_url:
        raise ActionError("no Prefect API is known here: set PREFECT_API_URL or start serve")
    try:
        answer = httpx.request(
            method,
            world.prefect_url.rstrip("/") + path,
            json=body,
            timeout=world.channels.timeout_seconds,
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None
    except (httpx.HTTPError, ValueError) as error:
        raise ActionError(f"the Prefect API did not do {method} {path}: {error}") from error
