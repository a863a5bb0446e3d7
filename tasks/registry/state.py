"""A model as its chain tells it: every version, and which one holds which alias."""

from collections.abc import Iterable
from typing import NamedTuple

from tasks.domain.promotion import Alias, Move, places
from tasks.ledger.promotions import Link
from tasks.registry.place import RegistryPlace


class Version(NamedTuple):
    """A registered version by the link that registered it; ``withdrawn`` says why, if it was."""

    link: Link
    withdrawn: str

    @property
    def move(self) -> Move:
        """What was registered."""
        return self.link.move

    @property
    def asset(self) -> str:
        """``vendor/name@version``."""
        return self.link.move.asset


class ModelState(NamedTuple):
    """What a model's chain amounts to. ``links`` are the whole chain, the oldest first."""

    model: str
    links: tuple[Link, ...]
    versions: tuple[Version, ...]
    held: dict[Alias, str]

    def version(self, asset: str) -> Version | None:
        """Returns the registered version of this id, or None."""
        return next((one for one in self.versions if one.asset == asset), None)

    def alias_of(self, asset: str) -> Alias | None:
        """Returns the alias that a version holds, or None."""
        return next((alias for alias, holder in self.held.items() if holder == asset), None)

    def earlier_champions(self) -> tuple[str, ...]:
        """Returns versions that were champion before the present one, the latest first."""
        past = [link.move.asset for link in self.links if _crowns(link.move)]
        now = self.held.get("champion")
        seen = dict.fromkeys(asset for asset in reversed(past) if asset != now)
        return tuple(seen)


def _crowns(move: Move) -> bool:
    return move.alias == "champion" and move.action in {"promote", "rollback"}


def read_state(model: str, links: tuple[Link, ...]) -> ModelState:
    """Returns what a chain amounts to."""
    newest: dict[str, Link] = {}
    withdrawn: dict[str, str] = {}
    for link in links:
        move = link.move
        if move.action == "register":
            newest[move.asset] = link
            withdrawn.pop(move.asset, None)
        elif move.action == "withdraw":
            withdrawn[move.asset] = move.reason
        if move.leaves is not None:
            withdrawn[move.leaves] = move.reason
    return ModelState(
        model=model,
        links=links,
        versions=tuple(Version(link, withdrawn.get(asset, "")) for asset, link in newest.items()),
        held=places(link.move for link in links),
    )


def model_state(model: str, registry: RegistryPlace) -> ModelState:
    """Reads and verifies one model's chain.

    Raises:
        EvidenceError: The chain does not verify.
    """
    return read_state(model, registry.reading().chain(model))


def all_states(registry: RegistryPlace) -> Iterable[ModelState]:
    """Reads and verifies every chain, by model."""
    log = registry.reading()
    for model in log.models():
        yield read_state(model, log.chain(model))
