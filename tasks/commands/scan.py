"""``proofhouse scan``: artifact scans of any files, in the sandbox."""

import os
from pathlib import Path
from typing import Any

from tasks.cli import EXIT_OK, EXIT_REFUSED, EXIT_UNDECIDED, Answer
from tasks.domain.errors import InvalidInputError

_CODES = {"pass": EXIT_OK, "fail": EXIT_REFUSED, "undecided": EXIT_UNDECIDED}


def scan_answer(paths: list[Path]) -> Answer:
    """Scans files, and folders recursively, without following links."""
    from tasks.sandbox.opening import open_sandbox  # noqa: PLC0415
    from tasks.sandbox.protocol import Level  # noqa: PLC0415

    files = [file for path in paths for file in _files(path)]
    if not files:
        raise InvalidInputError(f"no files under {', '.join(map(str, paths))}.")
    # Scanners execute nothing, so any level will do; the best one is used.
    sandbox = open_sandbox(required=Level.L0)
    with sandbox.session(tuple(file.resolve().parent for file in files)) as session:
        document = session.call(
            "scanners.scan.scan_paths_json",
            paths=[str(file.absolute()) for file in files],
            names=[str(file) for file in files],
        ).values
    return Answer(document, _lines(document), _CODES[document["outcome"]])


def _files(path: Path) -> list[Path]:
    if not os.path.lexists(path):
        raise InvalidInputError(f"{path} does not exist.")
    if path.is_symlink() or not path.is_dir():
        return [path]
    return sorted(
        Path(folder, name)
        for folder, _, names in os.walk(path, followlinks=False)
        for name in names
    )


def _lines(document: dict[str, Any]) -> list[str]:
    told: list[str] = []
    for file in document["files"]:
        told.append(f"{file['outcome']:<10} {file['path']} ({file['format']})")
        told += [
            f"    {finding['severity']:<9} {finding['rule']}: {finding['detail']}"
            + (f" [{finding['location']}]" if finding["location"] else "")
            for finding in file["findings"]
        ]
    return [*told, f"outcome: {document['outcome']}"]
