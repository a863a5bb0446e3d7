"""A first look at a bundle, before any server or worker is started. Nothing is copied."""

import os
from pathlib import Path

from tasks.domain.errors import InvalidInputError
from tasks.intake.manifest import MANIFEST, named_paths, parse_manifest
from tasks.intake.names import shown
from tasks.intake.quarantine import QUOTAS, Quotas, survey

MOST_BYTES = 1 << 20


def precheck(path: Path, *, quotas: Quotas = QUOTAS) -> None:
    """Refuses what intake would refuse for its names, sizes or manifest; archives are let through.

    Intake looks again at the bytes that it takes: this look only saves the operator's time.

    Raises:
        InvalidInputError: The folder cannot be a bundle; the message says why and how to mend.
    """
    folder = path.parent if path.name == MANIFEST else path
    if not folder.is_dir():
        return
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        files = {file.path: file.size_bytes for file in survey(root, quotas)}
    finally:
        os.close(root)
    if MANIFEST not in files:
        raise InvalidInputError(
            f"{shown(str(folder))} has no {MANIFEST}. Put one at the top of the bundle; it says "
            "who hands in which model, data and documents."
        )
    if files[MANIFEST] > MOST_BYTES:
        raise InvalidInputError(f"{MANIFEST} has {files[MANIFEST]} bytes; 1 MiB is allowed.")
    spec = parse_manifest((folder / MANIFEST).read_bytes())
    missing = [
        f"{key}: {shown(name)}" for key, name in named_paths(spec).items() if name not in files
    ]
    if missing:
        raise InvalidInputError(
            f"{MANIFEST} names files that did not come: {'; '.join(missing)}. Add the files or "
            "correct the paths."
        )
