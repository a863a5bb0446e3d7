"""Which model an account meets: the champion, or the canary for a fixed share of accounts."""

import hashlib
from typing import NamedTuple

from tasks.domain.bundle import InputSpec, ModelSpec
from tasks.domain.errors import InvalidInputError
from tasks.gateway.actions import Controls
from tasks.gateway.keys import ApiKey
from tasks.gateway.micro_queue import MicroQueue
from tasks.gateway.models import SandboxedModel, UpstreamModel
from tasks.gateway.policy import GatewayPolicy

Copies = tuple[SandboxedModel | UpstreamModel, ...]


class Route(NamedTuple):
    """A model that is served."""

    name: str
    """``champion`` or ``canary``."""
    asset: str
    version: str
    """The run that accepted it."""
    spec: ModelSpec
    copies: Copies
    queue: MicroQueue

    @property
    def ready(self) -> bool:
        """Whether at least one copy can answer now."""
        return any(copy.ready for copy in self.copies)


class Routes:
    """The champion and perhaps a canary.

    Raises:
        InvalidInputError: The two take or answer different things.
    """

    def __init__(self, champion: Route, canary: Route | None = None) -> None:
        self.champion, self.canary = champion, canary
        if canary is not None and _face(canary.spec) != _face(champion.spec):
            raise InvalidInputError(
                f"{canary.asset} cannot stand in for {champion.asset}: the input's shape or range, "
                "or the number of classes, differs"
            )

    def all(self) -> tuple[Route, ...]:
        """Returns every route."""
        return (self.champion,) if self.canary is None else (self.champion, self.canary)

    def chosen(self, key: ApiKey, policy: GatewayPolicy, controls: Controls) -> Route:
        """Returns the model for an account: the same one as long as the share stays the same.

        A growing share only adds accounts; nobody goes back and forth.
        """
        if self.canary is None:
            return self.champion
        share = controls.canary_percent
        percent = policy.canary_percent if share is None else share
        named = bool(key.segment) and key.segment in policy.canary_segments and percent > 0
        return self.canary if named or _place(key.account, self.canary) < percent else self.champion


def _place(account: str, canary: Route) -> float:
    """Returns an account's place within 0..100 in the queue for this canary."""
    told = hashlib.sha256(f"{canary.version}\n{account}".encode()).digest()
    return int.from_bytes(told[:8], "big") / (1 << 64) * 100


def _face(spec: ModelSpec) -> tuple[InputSpec | None, int | None]:
    return spec.input, spec.output.classes if spec.output else None
