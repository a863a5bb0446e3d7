"""Moves in the model registry: which version took which place, on what evidence."""

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from tasks.domain.approval import Words
from tasks.domain.digest import DigestField
from tasks.domain.frozen import Frozen

Alias = Literal["candidate", "canary", "champion"]
ALIASES: tuple[Alias, ...] = ("candidate", "canary", "champion")
"""In the order in which a version passes through them; it is in one of them at a time."""

Action = Literal["register", "promote", "rollback", "withdraw"]


class Move(Frozen):
    """What is to change: a version takes an alias, or leaves it (``withdraw``).

    ``files`` are the model's files by their path in the bundle, ``signature`` the OpenSSF model
    signature over exactly them (None for a model behind an address, which has no files),
    ``statement`` the signed statement of the run whose verdict lets the version in. ``leaves`` is
    the version that a rollback takes out of service.
    """

    action: Action
    alias: Alias
    asset: Words
    leaves: Words | None = None
    run: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    statement: DigestField
    subject: DigestField
    files: dict[str, DigestField] = {}
    signature: DigestField | None = None
    evidence: tuple[DigestField, ...] = ()
    """Objects that speak for the move: records of nights, baselines, alarms."""
    reason: Words
    by: Words
    issued: AwareDatetime

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(self.files) != (self.signature is not None):
            raise ValueError("files and their signature come together")
        if self.action == "register" and self.alias != "candidate":
            raise ValueError("a version is registered as candidate")
        if self.action == "promote" and self.alias == "candidate":
            raise ValueError("a version is promoted to canary or champion")
        if (self.action == "rollback") != (self.leaves is not None):
            raise ValueError("a rollback, and nothing else, names the version that it leaves")
        return self


class Promotion(Frozen):
    """One link of a model's chain: a move, its number, and the envelope of the move before it."""

    schema_: Literal["proofhouse.promotion/1"] = Field(
        default="proofhouse.promotion/1", alias="schema"
    )
    model: Words
    number: int = Field(ge=0)
    previous: DigestField | None = None
    move: Move

    @model_validator(mode="after")
    def _has_its_place(self) -> Self:
        if (self.number == 0) != (self.previous is None):
            raise ValueError("every link but the first names the one before it")
        if model_of(self.move.asset) != self.model:
            raise ValueError(f"{self.move.asset} is no version of {self.model}")
        return self


def model_of(asset: str) -> str:
    """Returns the model of which an asset is one version: ``vendor/name`` of its id."""
    return asset.rpartition("@")[0]


def places(moves: Iterable[Move]) -> dict[Alias, str]:
    """Returns which version has which alias after ``moves``, in order."""
    found: dict[Alias, str] = {}
    for move in moves:
        gone = {move.asset, move.leaves}
        found = {alias: holder for alias, holder in found.items() if holder not in gone}
        if move.action != "withdraw":
            found[move.alias] = move.asset
    return found
