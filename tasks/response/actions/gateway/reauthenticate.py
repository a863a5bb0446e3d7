"""Answers accounts again only with keys that are made from now on."""

from collections.abc import Mapping

from tasks.domain.case import Said
from tasks.gateway.actions import reauthenticate
from tasks.response.acting import Acted, Order, World


def preview(order: Order, world: World) -> str:  # noqa: ARG001 - the face of an action
    """Says who would have to authenticate again."""
    return f"force new keys for {', '.join(order.texts('accounts'))}"


def act(order: Order, world: World) -> Acted:
    """Lets present keys of ``parameters["accounts"]`` count no more."""
    accounts = order.texts("accounts")
    for account in accounts:
        reauthenticate(world.home, account, by=order.key)
    return Acted(f"must authenticate again: {', '.join(accounts)}", undo={"accounts": accounts})


def undo(order: Order, told: Mapping[str, Said], world: World) -> str:
    """Lets the present keys in again."""
    accounts = told["accounts"]
    assert isinstance(accounts, tuple), "the action keeps a list of accounts"
    for account in accounts:
        reauthenticate(world.home, account, by=order.key, undo=True)
    return f"keys count again: {', '.join(accounts)}"
