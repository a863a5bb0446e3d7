"""Parts of one check, measured wherever there is room, and put together in their order.

A check that works on independent parts has, beside ``measure(lab)``, a function
``measure_part(lab, index) -> Reply``. Between workers travels the digest of a part, never arrays.
"""

import json

import numpy as np
import safetensors
import safetensors.numpy

from tasks.domain.digest import Digest
from tasks.sandbox.protocol import Reply
from tasks.store.protocol import ObjectStore

VALUES = "values"


def keep_part(part: Reply, store: ObjectStore) -> Digest:
    """Stores a part; equal parts have equal bytes."""
    return store.put(part_bytes(part)).digest


def kept_part(digest: Digest, store: ObjectStore) -> Reply:
    """Returns a part as it was before it was stored."""
    return part_from(store.get(digest))


def part_bytes(part: Reply) -> bytes:
    """Returns a part as one safetensors file, its values in the header."""
    arrays = {name: np.ascontiguousarray(array) for name, array in part.arrays.items()}
    values = json.dumps(part.values, sort_keys=True)
    data: bytes = safetensors.numpy.save(arrays, metadata={VALUES: values})
    return data


def part_from(data: bytes) -> Reply:
    """Returns the part that :func:`part_bytes` wrote."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    return Reply(safetensors.numpy.load(data), json.loads(header["__metadata__"][VALUES]))
