"""Takes a version out of the registry's service: nothing that asks the registry loads it any more.

Cannot be undone: a version comes back by a new accepted run.
"""

from tasks.domain.case import Said
from tasks.registry.registering import Why, withdraw
from tasks.response.acting import Acted, Order, World
from tasks.response.registry_of import registry_of

ASSUMED: dict[str, Said] = {}


def preview(order: Order, world: World) -> str:  # noqa: ARG001 - the face of an action
    """Says which version would be withdrawn."""
    return f"withdraw {order.text('asset')} from the registry; only a new run brings it back"


def act(order: Order, world: World) -> Acted:
    """Withdraws ``parameters["asset"]``; a version that is withdrawn stays so."""
    why = Why(reason=f"{order.incident.title} ({order.case})", by=order.case)
    withdraw(order.text("asset"), registry_of(world), why)
    return Acted(f"{order.text('asset')} is withdrawn; nothing loads it any more")
