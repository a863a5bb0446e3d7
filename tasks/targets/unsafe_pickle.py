"""Opens pickles (.pkl, .joblib), which run whatever their author wrote: level L2 or not at all."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.sandbox.inside import require_level
from tasks.sandbox.protocol import Level, Reply


class Unpickled:
    """An object of a stranger. Nothing about it is believed, not even its attributes."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def describe(self) -> dict[str, Any]:
        """Says what came out, as JSON values."""
        kind = type(self.value)
        return {"kind": "pickle", "type": f"{kind.__module__}.{kind.__qualname__}"}


def unsafe_pickle(*, path: str) -> Unpickled:
    """Loads the pickle or joblib file at ``path``, compressed or not, running what is in it.

    Raises:
        PermissionError: This is not a confined child.
    """
    require_level(Level.L2)
    import joblib  # noqa: PLC0415  - heavy, and only in the child

    return Unpickled(joblib.load(Path(path)))  # noqa: TID251  - checked one line above


def predictions(opened: Unpickled, inputs: NDArray[Any]) -> Reply:
    """Returns ``outputs``, what the object's ``predict`` answers for ``inputs`` (batch, …)."""
    return Reply({"outputs": np.asarray(opened.value.predict(inputs))}, {"queries": len(inputs)})
