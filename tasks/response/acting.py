"""The face of an action: what it is told, what it may touch, what it answers.

An action is a module ``tasks/response/actions/<family>/<name>.py`` with ``preview``, ``act`` and,
where the world can be put back, ``undo``. An action brings about a state ("this account is
throttled"), so doing it twice is doing it once; where the outside cannot promise that (a message),
it passes on ``order.key``, by which a receiver knows a repetition.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

from securesystemslib.signer import Signer

from tasks.domain.case import Said
from tasks.domain.channels import Channels
from tasks.domain.digest import Digest
from tasks.domain.errors import ProofhouseError
from tasks.domain.ids import is_entry_id
from tasks.domain.incident import Incident
from tasks.ledger.trust import Trust
from tasks.registry.place import RegistryPlace
from tasks.sandbox.opening import open_sandbox
from tasks.sandbox.protocol import Sandbox
from tasks.store.protocol import ObjectStore


class ActionError(ProofhouseError):
    """An action could not be done. The case goes on without it; resuming tries it again."""

    code = "response.action_failed"


class World(NamedTuple):
    """What actions may touch."""

    home: Path
    store: ObjectStore
    database: str
    """Address of the inventory."""
    signer: Callable[[], Signer]
    trust: Callable[[], Trust]
    prefect_url: str = ""
    channels: Channels = Channels()
    registry: RegistryPlace | None = None
    sandbox: Callable[[], Sandbox] = open_sandbox
    """Opens it when an action computes something heavy or touches strange bytes."""


class Order(NamedTuple):
    """One call of an action."""

    key: str
    """The same step of the same case has the same key, however often it is tried."""
    case: str
    step: str
    incident: Incident
    parameters: Mapping[str, Said]
    by: str

    def text(self, name: str) -> str:
        """Returns a parameter as text.

        Raises:
            ActionError: The playbook gives none.
        """
        value = self.parameters.get(name)
        if value is None or isinstance(value, tuple):
            raise ActionError(f"step {self.step}: {name} must be one value, not {value!r}")
        return str(value)

    def number(self, name: str, default: float) -> float:
        """Returns a parameter as a number.

        Raises:
            ActionError: It is none.
        """
        value = self.parameters.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ActionError(f"step {self.step}: {name} must be a number, not {value!r}")
        return float(value)

    def texts(self, name: str) -> tuple[str, ...]:
        """Returns a parameter as a list of texts; one text is a list of one."""
        value = self.parameters.get(name, ())
        return value if isinstance(value, tuple) else (str(value),)


def first_seen(order: Order, world: World, value: str) -> str:
    """Returns what this step saw when it was tried first: ``value``, unless it was tried before.

    A process may die after it changed the world and before that was written down. The next try
    sees the changed world; undoing must go back to the one before.
    """
    world.store.claim(_before(order), value.encode())
    return (seen_before(order, world) or value.encode()).decode()


def seen_before(order: Order, world: World) -> bytes | None:
    """Returns what an earlier try of this step saw first; None when this is the first."""
    return world.store.claimed(_before(order))


def _before(order: Order) -> str:
    return f"cases/{order.case}/before/{order.step}"


class Acted(NamedTuple):
    """What came of it: a sentence, words for later steps, evidence, and how to put it back."""

    detail: str
    said: dict[str, Said] = {}
    evidence: tuple[Digest, ...] = ()
    undo: dict[str, Said] = {}


class Action(Protocol):
    """A module of ``tasks/response/actions``."""

    def preview(self, order: Order, world: World) -> str:
        """Says in one sentence what would be done; changes nothing."""

    def act(self, order: Order, world: World) -> Acted:
        """Does it. Raises :class:`ActionError`, or another project error."""


def action(name: str) -> Action:
    """Returns the action of this id.

    Raises:
        ActionError: There is none.
    """
    module = f"tasks.response.actions.{name}"
    if not is_entry_id(name) or not _exists(module):
        raise ActionError(f"there is no action {name!r}")
    return cast("Action", importlib.import_module(module))


def undoing(name: str) -> Callable[[Order, Mapping[str, Said], World], str] | None:
    """Returns the function that undoes an action, or None where it cannot be undone."""
    found: Any = getattr(action(name), "undo", None)
    return cast("Callable[[Order, Mapping[str, Said], World], str] | None", found)


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
