"""Takes an asset out of use: its state becomes ``withdrawn``, which no later verdict changes."""

from collections.abc import Mapping
from typing import cast

from tasks.domain.case import Said
from tasks.inventory.database import Inventory
from tasks.inventory.rows import State
from tasks.response.acting import Acted, ActionError, Order, World, first_seen

WITHDRAWN: State = "withdrawn"


def preview(order: Order, world: World) -> str:
    """Says which asset would be taken out of use."""
    return f"withdraw {order.text('asset')}, now {_state(order, world)}"


def act(order: Order, world: World) -> Acted:
    """Withdraws ``parameters["asset"]``; done twice, it still knows the state before."""
    before = first_seen(order, world, _state(order, world))
    Inventory(world.database).set_state(order.text("asset"), WITHDRAWN)
    return Acted(
        f"{order.text('asset')} is withdrawn, it was {before}",
        said={"state_before": before},
        undo={"state": before},
    )


def undo(order: Order, told: Mapping[str, Said], world: World) -> str:
    """Gives the asset the state it had before."""
    state = str(told["state"])
    Inventory(world.database).set_state(order.text("asset"), cast("State", state))
    return f"{order.text('asset')} is {state} again"


def _state(order: Order, world: World) -> str:
    found = Inventory(world.database).asset(order.text("asset"))
    if found is None:
        raise ActionError(f"{order.text('asset')} is not in the inventory: onboard it first")
    return found.state
