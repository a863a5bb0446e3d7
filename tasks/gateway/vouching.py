"""Asks while serving whether the models may still be served.

A night may refuse a model, a person may withdraw it, its signature's key may be trusted no more. A
gateway that asked only when it started would go on answering with it.
"""

import asyncio
import logging
from collections.abc import Callable

from tasks.domain.errors import ProofhouseError
from tasks.gateway.actions import kill, set_canary
from tasks.gateway.parts import Parts
from tasks.gateway.routing import Route
from tasks.registry.signing import UnsignedModelError

BY = "gateway"
Vouch = Callable[[str], object]
"""Takes ``vendor/name@version``; raises :class:`UnsignedModelError` if it must not be loaded."""
_log = logging.getLogger(__name__)


async def keep_asking(parts: Parts, vouch: Vouch, seconds: float) -> None:
    """Asks for every model each ``seconds``, until cancelled."""
    while True:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(take_out_refused, parts, vouch)


def take_out_refused(parts: Parts, vouch: Vouch) -> None:
    """Takes out of service what nobody vouches for any more.

    A refused champion ends everything, by the kill switch; a refused canary only itself. Whoever
    cannot be asked (a store that does not answer) accuses nobody: service goes on.
    """
    for route in parts.routes.all():
        try:
            vouch(route.asset)
        except UnsignedModelError as error:
            _take_out(parts, route, error.message)
        except (ProofhouseError, OSError) as error:
            _log.warning("%s could not be looked at again and stays: %s", route.asset, error)


def _take_out(parts: Parts, route: Route, why: str) -> None:
    now = parts.controls.file.read()
    if route is parts.routes.champion:
        if not now.killed:
            _log.error("the kill switch is used: %s", why)
            kill(parts.home, reason=why, by=BY)
    elif now.canary_percent != 0:
        _log.error("the canary is taken out: %s", why)
        set_canary(parts.home, 0, by=BY)
