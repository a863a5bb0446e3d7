"""``proofhouse scan``: artifact scans of any files, in the sandbox."""

import os
from pathlib import Path
from typing import Any

from tasks.cli import EXIT_OK, EXIT_REFUSED, EXIT_UNDECIDED, Answer
from tasks.domain.errors import InvalidInputError
from tasks.intake.names import shown

_CODES = {"pass": EXIT_OK, "fail": EXIT_REFUSED, "undecided": EXIT_UNDECIDED}
_LONGEST = 4096
FORMATS = ("table", "json", "sarif")


def scan_answer(
    paths: list[Path], *, format_: str = "table", second_opinion: bool = False
) -> Answer:
    """Scans files, and folders recursively, without following links.

    Args:
        paths: Files and folders.
        format_: ``table`` and ``json`` give the scan's own document, ``sarif`` a SARIF log.
        second_opinion: Other scanners that are installed are asked too; see ``second_opinion``.
    """
    if format_ not in FORMATS:
        raise InvalidInputError(f"format {format_!r} is unknown. Choose {', '.join(FORMATS)}.")
    scanners = _second_scanners() if second_opinion else ()
    files = [file for path in paths for file in _files(path)]
    if not files:
        raise InvalidInputError(f"no files under {', '.join(map(str, paths))}.")
    document = _scanned([file for file in files if _is_text(file)], scanners)
    document["files"] += [_unnamed(file) for file in files if not _is_text(file)]
    if any(file["outcome"] == "fail" for file in document["files"]):
        document["outcome"] = "fail"
    code = _CODES[document["outcome"]]
    if format_ == "sarif":
        from tasks.reports.sarif import scan_sarif  # noqa: PLC0415

        return Answer(scan_sarif(document), [], code)
    from tasks.commands.scanning import scan_lines  # noqa: PLC0415

    return Answer(document, scan_lines(document), code)


def _second_scanners() -> tuple[str, ...]:
    from tasks.scanners.second_opinion import SCANNERS, installed  # noqa: PLC0415

    found = installed()
    if not found:
        raise InvalidInputError(
            f"no second scanner is installed ({', '.join(SCANNERS)}). "
            "Install them: pip install 'proofhouse[scanners]'."
        )
    return found


def _scanned(files: list[Path], scanners: tuple[str, ...]) -> dict[str, Any]:
    from tasks.sandbox.opening import open_sandbox  # noqa: PLC0415
    from tasks.sandbox.protocol import Level  # noqa: PLC0415

    # Scanners execute nothing, so any level will do; the best one is used.
    sandbox = open_sandbox(required=Level.L0)
    # Folders by their real path, the last part as it is: a link to a file is told, not followed.
    places = [file.parent.resolve() / file.name for file in files]
    with sandbox.session(tuple(dict.fromkeys(place.parent for place in places))) as session:
        document = session.call(
            "scanners.scan.scan_paths_json",
            paths=[str(place) for place in places],
            names=[str(file) for file in files],
        ).values
    if scanners:
        from tasks.scanners.asking import opinions_on  # noqa: PLC0415

        document = opinions_on(document, places, scanners, sandbox)
    return document


def _files(path: Path) -> list[Path]:
    if not os.path.lexists(path):
        raise InvalidInputError(f"{shown(str(path))} does not exist.")
    if path.is_symlink() or not path.is_dir():
        return [path]
    return sorted(
        Path(folder, name)
        for folder, folders, names in os.walk(path, followlinks=False, onerror=_unreadable)
        for name in [*names, *(one for one in folders if Path(folder, one).is_symlink())]
    )


def _unreadable(error: OSError) -> None:
    """Stops the walk: a folder that nobody could look into must not count as looked into."""
    raise error


def _is_text(path: Path) -> bool:
    try:
        return bool(str(path.parent.resolve() / path.name).encode())
    except UnicodeEncodeError:
        return False


def _unnamed(path: Path) -> dict[str, Any]:
    """Reports a file that cannot be named to the scanner: nobody looked, so it fails."""
    name = shown(str(path), _LONGEST)
    finding = {
        "rule": "file.name_not_text",
        "severity": "high",
        "detail": "its name is not UTF-8, so it was not opened; rename it and scan again",
        "location": name,
    }
    return {
        "path": name,
        "format": "none",
        "sha256": None,
        "bytes": 0,
        "outcome": "fail",
        "findings": [finding],
    }
