"""Registers accepted models and moves them between aliases; every move is signed and logged.

A move is decided on a chain as it was read, and appended only right behind exactly that: whoever
loses against another writer decides anew.
"""

import getpass
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.errors import ConflictError, InvalidInputError
from tasks.domain.promotion import Alias, Move, model_of
from tasks.domain.run import RunRecord
from tasks.ledger.promotions import Link
from tasks.ledger.seal import Sealed, sealed_run
from tasks.registry.place import RegistryPlace
from tasks.registry.serving import LETTING_IN, UnsignedModelError, accepted_model
from tasks.registry.signing import model_files, verify_files
from tasks.registry.state import ModelState, read_state

MOST_TRIES = 20
Decide = Callable[[ModelState], Move | None]
"""Looks at a model and says what is to change; None when it is so already."""


class Why(NamedTuple):
    """Who moves a version, why, and the objects that speak for it."""

    reason: str
    by: str = ""
    evidence: tuple[Digest, ...] = ()

    @property
    def who(self) -> str:
        """Who it is; the user of this process when nobody is named."""
        return self.by or getpass.getuser()


def register(run: str, registry: RegistryPlace, why: Why) -> ModelState | None:
    """Signs the model of an accepted run and enters it as candidate; repeatable.

    Returns:
        The model's state, or None when there is nothing to register: the run was refused, or it is
        about data.

    Raises:
        InvalidInputError: No such run was sealed.
        SigningError: A key is missing or not trusted here.
        EvidenceError: The chain or the signature does not verify.
    """
    found = sealed_run(registry.store, run)
    if found is None:
        raise InvalidInputError(f"No sealed run is called {run!r}. List: inventory runs.")
    record, sealed = found
    subject = Subject.parse(registry.store.get(record.subject))
    if record.decision.verdict not in LETTING_IN or subject.spec.model.kind == "dataset":
        return None

    def entered(state: ModelState) -> Move | None:
        version = state.version(record.asset)
        if version is not None and version.move.run == run:
            return None  # withdrawn or not: who withdrew it must register another run
        if version is not None and not version.withdrawn:
            before = Subject.parse(registry.store.get(version.move.subject))
            if before.is_same_bundle(subject):
                return None  # the same bytes were let in before; a new night is no new version
        return _entry(record, sealed, subject, registry, why)

    state = change(model_of(record.asset), registry, entered)
    version = state.version(record.asset)
    if version is not None and not version.withdrawn:
        accepted_model(record.asset, registry)  # it can be loaded, or it is said now
    return state


def promote(asset: str, alias: Alias, registry: RegistryPlace, why: Why) -> ModelState:
    """Gives a registered version the alias canary or champion.

    Raises:
        UnsignedModelError: It is not registered, or must not be loaded any more.
        InvalidInputError: The alias is none that a version is promoted to.
    """
    if alias == "candidate":
        raise InvalidInputError("A version is promoted to canary or champion.")
    accepted = accepted_model(asset, registry)

    def moved(state: ModelState) -> Move | None:
        if state.held.get(alias) == accepted.asset:
            return None
        return _again(state, accepted.asset, "promote", alias, why)

    return change(accepted.model, registry, moved)


def withdraw(asset: str, registry: RegistryPlace, why: Why) -> ModelState:
    """Takes a version out of service: it loses its alias and is not loaded any more.

    Raises:
        InvalidInputError: It is not registered.
    """

    def moved(state: ModelState) -> Move | None:
        version = state.version(asset)
        if version is None:
            raise InvalidInputError(f"{asset[:200]} is not registered. List: registry list.")
        if version.withdrawn:
            return None
        alias = state.alias_of(asset) or "candidate"
        return _again(state, asset, "withdraw", alias, why)

    return change(model_of(asset), registry, moved)


def roll_back(
    model: str, registry: RegistryPlace, why: Why, *, leaving: str | None = None
) -> ModelState:
    """Makes the latest earlier champion that may still be loaded champion again.

    The present one is withdrawn by the same move: it takes a new run to come back.

    Args:
        model: ``vendor/name``.
        registry: Where it is registered.
        why: Who rolls back and why.
        leaving: The champion to leave; when another one is champion by now, nothing is done. What
            is repeated after a failure gives it, so that it does not go back twice.

    Raises:
        InvalidInputError: There is no champion, or no earlier one that may be loaded.
    """

    def moved(state: ModelState) -> Move | None:
        champion = state.held.get("champion")
        if champion is None:
            raise InvalidInputError(f"{model[:200]} has no champion to roll back from.")
        if leaving not in {None, champion}:
            return None
        for earlier in state.earlier_champions():
            try:
                accepted_model(earlier, registry)
            except UnsignedModelError:
                continue
            return _again(state, earlier, "rollback", "champion", why, leaves=champion)
        raise InvalidInputError(
            f"{model[:200]} has no earlier champion that may be loaded. To serve none: "
            f"proofhouse registry withdraw '{champion}'."
        )

    return change(model, registry, moved)


def change(model: str, registry: RegistryPlace, decide: Decide) -> ModelState:
    """Appends what ``decide`` says of the model as it is now; decides again when that moved.

    Raises:
        ConflictError: Others were faster again and again.
    """
    log = registry.writing()
    for _ in range(MOST_TRIES):
        links = log.heal(model)
        move = decide(read_state(model, links))
        if move is None:
            return read_state(model, links)
        link: Link | None = log.append(model, move, after=len(links))
        if link is not None:
            return read_state(model, (*links, link))
    raise ConflictError(
        f"{model[:200]} was moved by others {MOST_TRIES} times meanwhile; try again"
    )


def _entry(
    record: RunRecord, sealed: Sealed, subject: Subject, registry: RegistryPlace, why: Why
) -> Move:
    files = model_files(subject)
    signature = None
    if files:
        signature = registry.sign(files)
        place = f"the model signature of {record.asset}"
        verify_files(registry.store.get(signature), files, home=registry.home, place=place)
    return Move(
        action="register",
        alias="candidate",
        asset=record.asset,
        run=record.run,
        statement=sealed.statement,
        subject=record.subject,
        files=files,
        signature=signature,
        evidence=why.evidence,
        reason=why.reason,
        by=why.who,
        issued=_now(),
    )


def _again(
    state: ModelState,
    asset: str,
    action: str,
    alias: Alias,
    why: Why,
    *,
    leaves: str | None = None,
) -> Move:
    """Returns a move of a registered version, bound to the bytes it was registered with."""
    version = state.version(asset)
    if version is None:
        raise UnsignedModelError(f"{asset} is not registered any more")
    told = version.move.model_dump() | {
        "action": action,
        "alias": alias,
        "leaves": leaves,
        "evidence": why.evidence,
        "reason": why.reason,
        "by": why.who,
        "issued": _now(),
    }
    return Move.model_validate(told)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
