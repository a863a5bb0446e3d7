"""Whether every version that holds a place in the registry is still what was signed."""

from collections.abc import Iterator
from typing import NamedTuple

from tasks.domain.errors import EvidenceError, ObjectCorruptError, ObjectMissingError
from tasks.registry.place import RegistryPlace
from tasks.registry.serving import verify_signed
from tasks.registry.state import model_state

_UNSOUND = (EvidenceError, ObjectMissingError, ObjectCorruptError)


class Unsound(NamedTuple):
    """A version that verifies no more; ``asset`` is empty when a whole chain does not."""

    asset: str
    problem: str


def unsound_versions(registry: RegistryPlace) -> Iterator[Unsound]:
    """Yields every candidate, canary or champion whose evidence or signature does not verify.

    Raises:
        StoreError: The store failed, which says nothing about any version.
    """
    try:
        models = registry.reading().models()
    except _UNSOUND as error:
        yield Unsound("", error.message)
        return
    for model in models:
        try:
            held = model_state(model, registry).held
        except _UNSOUND as error:
            yield Unsound(f"{model}@", error.message)
            continue
        for asset in held.values():
            try:
                verify_signed(asset, registry)
            except _UNSOUND as error:
                yield Unsound(asset, error.message)
