"""A copy that the child trained, as a file that can be opened like any delivered model."""

import numpy as np
import safetensors.numpy

from tasks.attacks.defences.training import PROGRAM
from tasks.sandbox.protocol import Reply


def as_file(reply: Reply, *, artifact: str, program: str) -> tuple[str, bytes]:
    """Returns path and bytes of what ``attacks.defences.training.written_down`` answered.

    Args:
        reply: Of the child.
        artifact: Path of the delivered file, which weights by name take the place of.
        program: Path for an exported program, where there is no layer list.
    """
    if set(reply.arrays) == {PROGRAM}:
        return program, reply.arrays[PROGRAM].tobytes()
    weights = {key: np.ascontiguousarray(array) for key, array in reply.arrays.items()}
    return artifact, safetensors.numpy.save(weights)
