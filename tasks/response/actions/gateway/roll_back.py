"""Takes the canary out of traffic: every caller meets the champion again."""

from collections.abc import Mapping

from tasks.domain.case import Said
from tasks.gateway.actions import set_canary
from tasks.response.acting import Acted, Order, World


def preview(order: Order, world: World) -> str:  # noqa: ARG001 - the face of an action
    """Says what would change."""
    return "send no caller to the canary"


def act(order: Order, world: World) -> Acted:
    """Sets the canary's share to zero."""
    set_canary(world.home, 0, by=order.key)
    return Acted("no caller meets the canary")


def undo(order: Order, told: Mapping[str, Said], world: World) -> str:  # noqa: ARG001
    """Returns to the share of the gateway's policy."""
    set_canary(world.home, 0, by=order.key, undo=True)
    return "the policy's share of callers meets the canary"
