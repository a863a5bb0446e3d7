"""Makes the last earlier champion that still verifies champion again.

The version that is left is withdrawn by the same move, so this cannot be undone but by a new run.
"""

from tasks.domain.case import Said
from tasks.domain.promotion import model_of
from tasks.registry.registering import Why, roll_back
from tasks.response.acting import Acted, Order, World
from tasks.response.registry_of import registry_of

ASSUMED: dict[str, Said] = {"serving": "dry-run"}


def preview(order: Order, world: World) -> str:  # noqa: ARG001 - the face of an action
    """Says what would be left."""
    return f"leave {order.text('asset')} for the last earlier champion that verifies"


def act(order: Order, world: World) -> Acted:
    """Rolls back from ``parameters["asset"]``; done once, whatever is champion afterwards."""
    asset = order.text("asset")
    why = Why(reason=f"{order.incident.title} ({order.case})", by=order.case)
    state = roll_back(model_of(asset), registry_of(world), why, leaving=asset)
    serving = state.held.get("champion", "")
    return Acted(f"champion is {serving or 'none'} now", said={"serving": serving})
