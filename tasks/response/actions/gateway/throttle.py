"""Slows accounts down at the gateway, to a share of their rate and burst."""

from collections.abc import Mapping

from tasks.domain.case import Said
from tasks.gateway.actions import throttle
from tasks.response.acting import Acted, Order, World

FACTOR = 0.1
"""Share of rate and burst when the playbook says none."""


def preview(order: Order, world: World) -> str:  # noqa: ARG001 - the face of an action
    """Says whom it would slow down."""
    share = order.number("factor", FACTOR)
    return f"throttle {', '.join(order.texts('accounts'))} to {share:g} of their rate"


def act(order: Order, world: World) -> Acted:
    """Throttles every account of ``parameters["accounts"]``."""
    accounts, factor = order.texts("accounts"), order.number("factor", FACTOR)
    for account in accounts:
        throttle(world.home, account, factor=factor, by=order.key)
    return Acted(f"throttled to {factor:g}: {', '.join(accounts)}", undo={"accounts": accounts})


def undo(order: Order, told: Mapping[str, Said], world: World) -> str:
    """Gives the accounts their own rate back."""
    accounts = told["accounts"]
    assert isinstance(accounts, tuple), "the action keeps a list of accounts"
    for account in accounts:
        throttle(world.home, account, by=order.key, undo=True)
    return f"no longer throttled: {', '.join(accounts)}"
