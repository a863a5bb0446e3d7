"""Members and others whose rows may be looked at and not kept: only their digests leave.

Whoever holds the rows (the vendor's or a third party's machine, or a folder that only the assessor
sees) points ``PROOFHOUSE_ESCROW`` at them. Decoded rows and what is trained on them stay in that
folder; evidence and reports hold digests, rates and intervals.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import safetensors.numpy

from tasks.domain.bundle import BundleSpec, DataSpec, DataSpecs, EscrowSpec, FileEntry
from tasks.domain.digest import Digest, digest_of_file
from tasks.intake.datasets import decode
from tasks.sandbox.protocol import Array, Sandbox
from tasks.store.local import LocalStore

MOST_FILES = 100
KEPT = "kept"
"""Where decoded rows and shadow models lie, inside the folder."""


class EscrowError(Exception):
    """What is under escrow cannot be used; the text says why and how to mend it."""


class Escrow:
    """The folder that holds what one bundle names by digest."""

    def __init__(self, folder: Path | None, told: EscrowSpec) -> None:
        if folder is None or not folder.is_dir():
            raise EscrowError(
                f"members ({told.members}) and others ({told.others}) are under escrow; point "
                "PROOFHOUSE_ESCROW at the folder that holds both files"
            )
        self._folder = folder
        self._told = told
        self.store = LocalStore(folder / KEPT)

    def rows(
        self,
        role: Literal["training", "evaluation"],
        spec: BundleSpec,
        *,
        sandbox: Sandbox,
        workspace: Path,
    ) -> tuple[Array, Array]:
        """Returns inputs and labels of members (``training``) or others (``evaluation``).

        Raises:
            EscrowError: The folder has no file of that digest, or it cannot be read.
        """
        digest = self._told.members if role == "training" else self._told.others
        place = self._place(digest)
        # Bytes are taken once and checked: a file that changes later changes nothing.
        stored = self.store.put_file(place)
        if stored.digest != digest:
            raise EscrowError(f"{place.name} changed while it was read")
        data = DataSpec(path=place.name, inputs=self._told.inputs, labels=self._told.labels)
        (decoded,) = decode(
            spec.model_copy(update={"data": DataSpecs(**{role: data})}),
            (FileEntry(path=place.name, digest=digest, size_bytes=stored.size_bytes),),
            self.store,
            sandbox,
            workspace,
        )
        if decoded.dataset.digest is None:
            raise EscrowError(f"{place.name} cannot be read: {decoded.dataset.problem}")
        tensors = safetensors.numpy.load(self.store.get(decoded.dataset.digest))
        return np.asarray(tensors["inputs"]), np.asarray(tensors["labels"])

    def _place(self, digest: Digest) -> Path:
        files = sorted(path for path in self._folder.iterdir() if path.is_file())[:MOST_FILES]
        found = next((path for path in files if digest_of_file(path) == digest), None)
        if found is None:
            raise EscrowError(
                f"none of the {len(files)} files under escrow has the digest {digest}; put the "
                "file there that the bundle names, unchanged"
            )
        return found
