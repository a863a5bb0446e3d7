"""Shows the registry where people look: the inventory's tables, and MLflow when it is set up.

Mirrors are written from a model's whole state, so writing again repairs whatever a crash, an
outage or a hand left there. None of them is ever believed.
"""

import logging
from typing import Protocol

from tasks.domain.errors import ProofhouseError
from tasks.inventory.models import ModelRegister
from tasks.inventory.rows import ModelVersion, PromotionRow
from tasks.ledger.promotions import Link
from tasks.registry.place import RegistryPlace
from tasks.registry.state import ModelState, Version

_log = logging.getLogger(__name__)


class Mirror(Protocol):
    """Somewhere that shows models."""

    name: str

    def write(self, state: ModelState) -> None:
        """Makes the mirror show a model's state; repeatable."""

    def differences(self, state: ModelState) -> tuple[str, ...]:
        """Says where the mirror shows something else."""


class InventoryMirror:
    """The tables of the inventory."""

    name = "inventory"

    def __init__(self, database: str) -> None:
        self._register = ModelRegister(database)

    def write(self, state: ModelState) -> None:
        """Writes versions and moves in one transaction."""
        self._register.record(state.model, _versions(state), _moves(state))

    def differences(self, state: ModelState) -> tuple[str, ...]:
        """Compares the tables with the chain."""
        told: list[str] = []
        shown = {row.asset: row for row in self._register.versions(state.model)}
        wanted = {row.asset: row for row in _versions(state)}
        told += [f"{asset} is missing" for asset in wanted.keys() - shown.keys()]
        told += [f"{asset} was never registered" for asset in shown.keys() - wanted.keys()]
        told += [
            f"{asset} is shown as {shown[asset].alias or 'no alias'}, it is "
            f"{wanted[asset].alias or 'no alias'}"
            for asset in wanted.keys() & shown.keys()
            if shown[asset] != wanted[asset]
        ]
        if not told and self._register.moves(state.model) != tuple(_moves(state)):
            told.append("the moves differ")
        return tuple(sorted(told))


def mirrors(registry: RegistryPlace) -> tuple[Mirror, ...]:
    """Opens every mirror of this installation."""
    found: list[Mirror] = [InventoryMirror(registry.database)]
    if registry.tracking:
        from tasks.registry.mlflow_mirror import MlflowMirror  # noqa: PLC0415 - an extra, 4 s

        found.append(MlflowMirror(registry))
    return tuple(found)


def show(state: ModelState, registry: RegistryPlace) -> tuple[str, ...]:
    """Writes a state to every mirror; returns what went wrong with which, in words.

    A mirror that is down undoes no move: the next write or ``registry sync`` brings it up to date.
    """
    problems: list[str] = []
    try:
        found = mirrors(registry)
    except ProofhouseError as error:
        return (error.message,)
    for mirror in found:
        try:
            mirror.write(state)
        except Exception as error:  # noqa: BLE001 - database drivers and MLflow raise anything
            told = error.message if isinstance(error, ProofhouseError) else str(error)[:500]
            problems.append(f"{mirror.name}: {type(error).__name__}: {told}")
            _log.warning("the registry of %s is not shown in %s", state.model, problems[-1])
    return tuple(problems)


def _versions(state: ModelState) -> list[ModelVersion]:
    return [_version(state, version) for version in state.versions]


def _version(state: ModelState, version: Version) -> ModelVersion:
    move = version.move
    return ModelVersion(
        asset=version.asset,
        model=state.model,
        alias=state.alias_of(version.asset) or "",
        run=move.run,
        statement=move.statement,
        subject=move.subject,
        signature=move.signature or "",
        promotion=version.link.statement,
        withdrawn=version.withdrawn,
        registered=_dated(version.link),
    )


def _moves(state: ModelState) -> list[PromotionRow]:
    return [
        PromotionRow(
            model=state.model,
            number=link.promotion.number,
            action=link.move.action,
            alias=link.move.alias,
            asset=link.move.asset,
            leaves=link.move.leaves or "",
            run=link.move.run,
            reason=link.move.reason,
            by=link.move.by,
            issued=_dated(link),
            statement=link.statement,
            ledger_index=-1 if link.ledger_index is None else link.ledger_index,
        )
        for link in state.links
    ]


def _dated(link: Link) -> str:
    told: str = link.move.model_dump(mode="json")["issued"]
    return told
