"""The kill switch: the gateway answers nobody any more."""

from collections.abc import Mapping

from tasks.domain.case import Said
from tasks.gateway.actions import kill
from tasks.response.acting import Acted, Order, World


def preview(order: Order, world: World) -> str:  # noqa: ARG001 - the face of an action
    """Says what would stop."""
    return "stop answering every caller of the gateway"


def act(order: Order, world: World) -> Acted:
    """Sets the switch, with the incident as the reason."""
    kill(world.home, reason=f"{order.incident.title} ({order.case})", by=order.key)
    return Acted("the gateway answers nobody")


def undo(order: Order, told: Mapping[str, Said], world: World) -> str:  # noqa: ARG001
    """Lets the gateway answer again."""
    kill(world.home, by=order.key, undo=True)
    return "the gateway answers again"
