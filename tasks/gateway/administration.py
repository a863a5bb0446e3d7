"""The admin interface: response playbooks act here, over HTTP with a key of the role ``admin``.

Each call is one of ``tasks/gateway/actions.py``: repeatable, reversible, and written down with the
account that asked for it.
"""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import Field, StringConstraints, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tasks.domain.errors import InvalidInputError
from tasks.domain.frozen import Frozen
from tasks.gateway import actions
from tasks.gateway.callers import Refusal, must_be
from tasks.gateway.keys import Account, ApiKey
from tasks.gateway.parts import Parts
from tasks.gateway.policy import ADMIN

_MOST_BYTES = 16 << 10
KeyOf = Callable[[Request], ApiKey]
Reason = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]


class _Order(Frozen):
    undo: bool = False


class _Throttle(_Order):
    account: Account
    factor: float = Field(default=0.1, gt=0, le=1)


class _Reauthenticate(_Order):
    account: Account


class _Revoke(_Order):
    name: Account


class _Kill(_Order):
    reason: Reason = "killed"


class _Canary(_Order):
    percent: float = Field(default=0.0, ge=0, le=100)


_ACTIONS: dict[str, tuple[type[_Order], Callable[..., Any]]] = {
    "throttle": (_Throttle, actions.throttle),
    "reauthenticate": (_Reauthenticate, actions.reauthenticate),
    "revoke": (_Revoke, actions.revoke),
    "kill": (_Kill, actions.kill),
    "canary": (_Canary, actions.set_canary),
}


def add_administration(app: FastAPI, parts: Parts, key_of: KeyOf) -> None:
    """Adds ``POST /admin/<action>`` and ``GET /admin/state``."""

    async def act(request: Request) -> Response:
        try:
            return await _act(request, parts, key_of)
        except Refusal as refusal:
            return _refused(refusal)

    async def state(request: Request) -> Response:
        try:
            must_be(key_of(request), ADMIN)
        except Refusal as refusal:
            return _refused(refusal)
        routes = [
            {"route": route.name, "asset": route.asset, "version": route.version,
             "ready": route.ready}
            for route in parts.routes.all()
        ]  # fmt: skip
        told = parts.controls.current.model_dump(mode="json")
        alarms = [alarm._asdict() for alarm in parts.watching.alarms[-100:]]
        return JSONResponse({"controls": told, "routes": routes, "alarms": alarms})

    app.add_route("/admin/{action}", act, methods=["POST"])
    app.add_route("/admin/state", state, methods=["GET"])


async def _act(request: Request, parts: Parts, key_of: KeyOf) -> Response:
    key = key_of(request)
    must_be(key, ADMIN)
    if (found := _ACTIONS.get(request.path_params["action"])) is None:
        raise Refusal(404, "action", f"the actions are {', '.join(_ACTIONS)}")
    kind, act = found
    try:
        order = kind.model_validate_json(await _small_body(request), strict=True)
    except ValidationError as error:
        places = ", ".join(".".join(map(str, issue["loc"])) or "body" for issue in error.errors())
        raise Refusal(400, "request", f"the order does not fit at: {places}") from None
    given = order.model_dump()
    if "account" in given or "name" in given:
        given = {"first": given.pop("account", None) or given.pop("name"), **given}
    first = [given.pop("first")] if "first" in given else []
    try:
        done = await asyncio.to_thread(act, parts.home, *first, by=key.account, **given)
    except InvalidInputError as error:
        raise Refusal(400, "request", error.message) from None
    parts.keys.refresh()
    parts.controls.current = parts.controls.file.read()
    told = list(done) if isinstance(done, tuple) else done.model_dump(mode="json")
    return JSONResponse({"done": request.path_params["action"], "now": told})


async def _small_body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise Refusal(413, "size", f"an order holds at most {_MOST_BYTES} bytes")
    return body


def _refused(refusal: Refusal) -> Response:
    return JSONResponse({"error": refusal.text, "reason": refusal.reason}, refusal.status)
