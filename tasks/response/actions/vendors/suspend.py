"""Withdraws trust from a vendor: every further bundle of it is refused, with the reason."""

from collections.abc import Mapping
from datetime import UTC, datetime

from tasks.domain.case import Said
from tasks.domain.vendor import BARRED, VendorState
from tasks.inventory.vendors import VendorRegister
from tasks.response.acting import Acted, Order, World, first_seen


def preview(order: Order, world: World) -> str:
    """Says which vendor would be suspended."""
    found = VendorRegister(world.database).vendor(order.text("vendor"))
    return f"suspend {found.name}, now {found.state.value}"


def act(order: Order, world: World) -> Acted:
    """Suspends ``parameters["vendor"]``, unless it is barred already."""
    register = VendorRegister(world.database)
    found = register.vendor(order.text("vendor"))
    before = first_seen(order, world, found.state.value)
    if found.state in BARRED:
        undo_to = "" if VendorState(before) in BARRED else before
        return Acted(f"{found.name} is {found.state.value} already", undo={"state": undo_to})
    reason = f"{order.incident.title} ({order.case})"
    register.move(
        found.name, VendorState.SUSPENDED, reason=reason, who=order.case, now=datetime.now(UTC)
    )
    return Acted(f"{found.name} is suspended, it was {before}", undo={"state": before})


def undo(order: Order, told: Mapping[str, Said], world: World) -> str:
    """Approves the vendor again, if the action suspended it."""
    if not told["state"]:
        return "the vendor was barred before; it stays so"
    found = VendorRegister(world.database).move(
        order.text("vendor"), VendorState.APPROVED,
        reason=f"suspension undone ({order.case})", who=order.case, now=datetime.now(UTC),
    )  # fmt: skip
    return f"{found.name} is {found.state.value} again"
