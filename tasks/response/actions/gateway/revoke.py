"""Revokes all keys of accounts at the gateway."""

from collections.abc import Mapping

from tasks.domain.case import Said
from tasks.gateway.actions import revoke
from tasks.response.acting import Acted, Order, World

ASSUMED: dict[str, Said] = {"keys": ()}


def preview(order: Order, world: World) -> str:  # noqa: ARG001 - the face of an action
    """Says whose keys would be revoked."""
    return f"revoke every key of {', '.join(order.texts('accounts'))}"


def act(order: Order, world: World) -> Acted:
    """Revokes the keys of ``parameters["accounts"]``."""
    accounts = order.texts("accounts")
    keys = tuple(key for each in accounts for key in revoke(world.home, each, by=order.key))
    return Acted(
        f"revoked {len(keys)} keys of {', '.join(accounts)}",
        said={"keys": keys},
        undo={"accounts": accounts},
    )


def undo(order: Order, told: Mapping[str, Said], world: World) -> str:
    """Lets the keys count again."""
    accounts = told["accounts"]
    assert isinstance(accounts, tuple), "the action keeps a list of accounts"
    for account in accounts:
        revoke(world.home, account, by=order.key, undo=True)
    return f"keys count again: {', '.join(accounts)}"
