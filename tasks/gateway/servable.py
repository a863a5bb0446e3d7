"""What the gateway needs to know of a model that was accepted, and where its bytes come from."""

from pathlib import Path
from typing import Protocol

from tasks.domain.bundle import ModelSpec
from tasks.domain.digest import Digest
from tasks.domain.errors import InvalidInputError
from tasks.store.protocol import ObjectStore


class Servable(Protocol):
    """An accepted model; ``artifact`` is None for a model behind an address."""

    @property
    def asset(self) -> str:
        """``vendor/name@version``."""

    @property
    def run(self) -> str:
        """The run that accepted it."""

    @property
    def spec(self) -> ModelSpec:
        """Its description."""

    @property
    def artifact(self) -> Digest | None:
        """The model file."""

    @property
    def architecture(self) -> Digest | None:
        """The layer list, if there is one."""


def verify_servable(model: Servable) -> None:
    """Refuses what the gateway cannot serve: anything but classifiers with a described input.

    Raises:
        InvalidInputError: It is something else.
    """
    spec = model.spec
    described = spec.input is not None and spec.output is not None and spec.output.classes
    if spec.kind != "model" or spec.task != "classification" or not described:
        raise InvalidInputError(
            f"{model.asset} cannot be served: the gateway takes classifiers whose bundle describes "
            "input, output and number of classes"
        )


def fetched(model: Servable, store: ObjectStore, folder: Path) -> tuple[Path, Path | None]:
    """Fetches artifact and layer list by digest into ``folder``; returns where they lie."""
    assert model.artifact is not None, "endpoints have nothing to fetch"
    artifact = _fetch(model.artifact, model.spec.artifact or "", store, folder)
    if model.architecture is None:
        return artifact, None
    return artifact, _fetch(model.architecture, model.spec.architecture or "", store, folder)


def _fetch(digest: Digest, named: str, store: ObjectStore, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / (digest.removeprefix("sha256:") + Path(named).suffix)
    place.unlink(missing_ok=True)  # never believed, whoever put it there
    store.fetch(digest, place)
    return place
