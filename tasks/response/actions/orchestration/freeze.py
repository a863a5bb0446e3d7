"""Pauses deployments of the orchestrator, so that nothing is onboarded or promoted meanwhile."""

from collections.abc import Mapping

from tasks.domain.case import Said
from tasks.response.acting import Acted, ActionError, Order, World, first_seen
from tasks.response.prefect_api import call, deployments

ASSUMED: dict[str, Said] = {"paused": ()}


def preview(order: Order, world: World) -> str:
    """Says which deployments would be paused."""
    names = ", ".join(order.texts("deployments")) or "all"
    return f"pause deployments ({names}) at {world.prefect_url or 'no Prefect API'}"


def act(order: Order, world: World) -> Acted:
    """Pauses ``parameters["deployments"]`` by name; all of them when there is none.

    Raises:
        ActionError: The API does not answer, or a deployment is unknown.
    """
    wanted = set(order.texts("deployments"))
    found = {row["name"]: row for row in deployments(world)}
    if missing := sorted(wanted - set(found)):
        raise ActionError(f"no deployment is called {', '.join(missing)}. Known: {sorted(found)}.")
    paused = [row for name, row in found.items() if not wanted or name in wanted]
    found_running = ",".join(row["id"] for row in paused if not row.get("paused"))
    running = tuple(first_seen(order, world, found_running).split(","))
    for row in paused:
        call(world, "PATCH", f"/deployments/{row['id']}", {"paused": True})
    names = ", ".join(sorted(row["name"] for row in paused)) or "none there"
    return Acted(
        f"paused: {names}", said={"paused": names}, undo={"ids": tuple(filter(None, running))}
    )


def undo(order: Order, told: Mapping[str, Said], world: World) -> str:  # noqa: ARG001
    """Lets those run again that were running before."""
    ids = told["ids"]
    assert isinstance(ids, tuple), "the action keeps a list of ids"
    for each in ids:
        call(world, "PATCH", f"/deployments/{each}", {"paused": False})
    return f"{len(ids)} deployments run again"
