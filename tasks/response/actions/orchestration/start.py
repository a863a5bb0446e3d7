"""Starts a deployed flow: assess again, retrain, harden, onboard. It runs on its own."""

import json

from tasks.domain.case import Said
from tasks.response.acting import Acted, ActionError, Order, World
from tasks.response.prefect_api import call, deployments

ASSUMED: dict[str, Said] = {"flow_run": "dry-run"}


def preview(order: Order, world: World) -> str:  # noqa: ARG001 - the face of an action
    """Says which flow would be started."""
    return f"start {order.text('deployment')} for {order.parameters.get('target', 'no target')}"


def act(order: Order, world: World) -> Acted:
    """Starts ``parameters["deployment"]``; the same step is the same flow run.

    ``parameters["target"]`` is what the flow is about, by the name ``parameters["named"]`` (the
    flow's own parameter, "target" when left out); ``parameters["settings"]`` holds further ones as
    a JSON object.

    Raises:
        ActionError: The API does not answer, there is no such deployment, or bad settings.
    """
    wanted = order.text("deployment")
    found = [row for row in deployments(world) if row["name"] == wanted]
    if not found:
        raise ActionError(f"no deployment is called {wanted}: start proofhouse serve, then resume")
    body = {
        "parameters": _parameters(order),
        "idempotency_key": order.key,
        "tags": [order.case],
        "state": {"type": "SCHEDULED", "name": "Scheduled"},
    }
    answer = call(world, "POST", f"/deployments/{found[0]['id']}/create_flow_run", body)
    name = str(answer.get("name", "")) if isinstance(answer, dict) else ""
    flow_run = str(answer.get("id", "")) if isinstance(answer, dict) else ""
    return Acted(f"started {wanted} as {name}", said={"flow_run": flow_run})


def _parameters(order: Order) -> dict[str, object]:
    try:
        settings = json.loads(str(order.parameters.get("settings", "{}")))
    except ValueError as error:
        raise ActionError(f"step {order.step}: settings is no JSON object: {error}") from error
    if not isinstance(settings, dict):
        raise ActionError(f"step {order.step}: settings is no JSON object: {settings!r}")
    named, target = str(order.parameters.get("named", "target")), order.parameters.get("target")
    more: dict[str, object] = {} if target is None else {named: target}
    return {**settings, **more}
