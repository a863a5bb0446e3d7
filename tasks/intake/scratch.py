"""Folders for work in between; a disk that is full is the store's kind of trouble."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.domain.errors import StoreError


@contextmanager
def scratch(workspace: Path, purpose: str) -> Iterator[Path]:
    """Lends an empty folder below ``workspace`` and removes it with everything in it.

    Raises:
        StoreError: The folder cannot be made: full disk, no inodes, no rights.
    """
    try:
        folder = tempfile.TemporaryDirectory(dir=workspace, prefix=f"{purpose}-")
    except OSError as error:
        raise StoreError(
            f"No scratch folder can be made in {workspace}: {error.strerror}. Free some space (or "
            "point PROOFHOUSE_HOME elsewhere), then try again."
        ) from error
    with folder as name:
        yield Path(name)
