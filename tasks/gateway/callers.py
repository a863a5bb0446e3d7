"""Who asks: from headers to an account with its role, or the status that says why not."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from tasks.gateway.actions import Controls
from tasks.gateway.keys import ApiKey, KeyRing
from tasks.gateway.policy import ADMIN, GatewayPolicy, Role

MONITOR = "monitor"
"""A role that may read metrics and nothing else; built in like ``admin``."""


class Refusal(Exception):  # noqa: N818  - an answer, not an error
    """A request that is not answered: status, a stable reason and words for the caller."""

    def __init__(self, status: int, reason: str, text: str, retry_after_seconds: float = 0) -> None:
        super().__init__(text)
        self.status, self.reason, self.text = status, reason, text
        self.retry_after_seconds = retry_after_seconds


class Caller(NamedTuple):
    """An account that may ask, and its limits."""

    key: ApiKey
    role: Role


def key_of(headers: Mapping[str, str], count: int, keys: KeyRing, controls: Controls) -> ApiKey:
    """Returns the key that came with a request.

    Args:
        headers: Of the request.
        count: How many Authorization headers there were.
        keys: All keys.
        controls: What is in force.

    Raises:
        Refusal: 401 without a key in force; 400 with more than one header.
    """
    if count > 1:
        raise Refusal(400, "headers", "one Authorization header, please")
    scheme, _, text = headers.get("authorization", "").partition(" ")
    key = keys.known(text.strip()) if scheme.lower() == "bearer" else None
    if key is None or not key.in_force(datetime.now(UTC)):
        raise Refusal(401, "key", "a valid API key is needed: Authorization: Bearer phk_…")
    since = controls.reauthenticate.get(key.account)
    if since is not None and key.created <= since:
        raise Refusal(401, "reauthenticate", "this key no longer counts: ask for a new one")
    return key


def caller_of(key: ApiKey, policy: GatewayPolicy, controls: Controls) -> Caller:
    """Returns the account and its limits now.

    Raises:
        Refusal: 503 while the kill switch is on; 403 where the role may not ask the model.
    """
    if controls.killed:
        raise Refusal(503, "killed", "the gateway is switched off", 60)
    role = policy.roles.get(key.role)
    if role is None:
        raise Refusal(403, "role", f"the role {key.role} may not ask the model")
    return Caller(key, controls.terms(key.account, role))


def must_be(key: ApiKey, *roles: str) -> None:
    """Lets only some roles pass.

    Raises:
        Refusal: 403.
    """
    if key.role not in roles:
        raise Refusal(403, "role", f"this needs the role {ADMIN if ADMIN in roles else roles[0]}")
