"""Which storages a torch ``data.pkl`` names, and of what type, without unpickling it."""

from typing import Any

from tasks.scanners.inspection import Inspection
from tasks.scanners.pickle_handlers import HANDLERS
from tasks.scanners.pickle_machine import Machine
from tasks.scanners.pickle_opcodes import Watch
from tasks.scanners.pickle_values import Global, Items, Malformed, Tape, Truncated
from tasks.scanners.reading import View

_KINDS = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "bf16",
    "ComplexFloatStorage": "c8",
    "ComplexDoubleStorage": "c16",
}


class _Storages(Watch):
    """Collects ``("storage", type, key, device, count)`` tuples."""

    def __init__(self, view: View, inspection: Inspection) -> None:
        super().__init__(view, inspection)
        self.found: dict[str, str] = {}

    def persistent(self, identity: Any, at: int) -> None:
        """A storage: its type is a global, its key the member's name under ``data/``."""
        del at
        if isinstance(identity, Items) and len(identity.items) >= 3:
            _, kind, key = identity.items[:3]
            if isinstance(kind, Global) and isinstance(key, str):
                self.found[key] = _KINDS.get(kind.name, "u1")


def torch_storages(view: View, inspection: Inspection) -> list[tuple[str, str]]:
    """Returns (key, kind) of every storage, in the order of first use."""
    watch = _Storages(view, inspection)
    try:
        Machine(Tape(view), watch, inspection.budget).run(HANDLERS)
    except (Truncated, Malformed):
        return list(watch.found.items())
    return list(watch.found.items())
