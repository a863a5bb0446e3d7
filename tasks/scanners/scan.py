"""The artifact scan: every file read once for its digest and once for its structure.

Nothing is executed and nothing is unpickled; ``README.md`` in this folder lists rules and bounds.
"""

import hashlib
import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.sandbox.protocol import Reply
from tasks.scanners.inspection import Inspection, Notes
from tasks.scanners.reading import (
    Budget,
    BudgetSpent,
    NotRegularError,
    View,
    open_regular,
)
from tasks.scanners.recognition import read_all
from tasks.scanners.report import FileReport, ScanReport, outcome_of
from tasks.scanners.suffixes import check_suffix

HASH_STEP_BYTES = 1 << 20


def scan_file(
    path: Path, display_path: str | None = None, budget: Budget | None = None
) -> FileReport:
    """Returns what is in one file; never raises for anything the file holds or is.

    Args:
        path: Where the bytes lie. Links, pipes, sockets, devices and folders are refused.
        display_path: The name the vendor gave it; shown, and used only to notice a wrong suffix.
        budget: Bounds of the work; the default suits model files of any size.
    """
    shown = display_path or path.name
    try:
        descriptor, size = open_regular(path)
    except (NotRegularError, OSError) as error:
        return _refused(shown, error)
    try:
        return _scanned(descriptor, size, shown, budget or Budget(root_bytes=size))
    finally:
        os.close(descriptor)


def scan_paths(paths: Iterable[Path]) -> ScanReport:
    """Scans files, and everything below folders, in sorted order."""
    reports: list[FileReport] = []
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            files, unread = _below(path)
            reports.extend(scan_file(file, str(file.relative_to(path))) for file in files)
            reports.extend(_refused(str(error.filename), error) for error in unread)
        else:
            reports.append(scan_file(path, path.name))
    return ScanReport.of(reports)


def _below(folder: Path) -> tuple[list[Path], list[OSError]]:
    """Returns files and links below a folder, and the folders that could not be listed."""
    unread: list[OSError] = []
    found = [
        Path(place, name)
        for place, folders, names in os.walk(folder, onerror=unread.append)
        for name in [*names, *(each for each in folders if Path(place, each).is_symlink())]
    ]
    return sorted(found), unread


def scan_paths_json(*, paths: Sequence[str], names: Sequence[str]) -> Reply:
    """Procedure for the sandboxed child: scans ``paths`` and shows them as ``names``.

    Returns:
        A reply whose values are the ``scan --json`` document.
    """
    if len(paths) != len(names):
        raise ValueError(f"{len(paths)} paths and {len(names)} names")
    report = ScanReport.of(
        scan_file(Path(path), name) for path, name in zip(paths, names, strict=True)
    )
    values: dict[str, Any] = report.model_dump(mode="json")
    return Reply({}, values)


class _Hashing:
    """SHA-256 of an open file beside the scan: hashing leaves the interpreter lock."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor, self._size = descriptor, size
        self._digest = hashlib.sha256()
        self._thread: threading.Thread | None = threading.Thread(target=self._run, daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no thread to be had in a tight sandbox: hash afterwards
            self._thread = None

    def _run(self) -> None:
        buffer = memoryview(bytearray(min(HASH_STEP_BYTES, max(self._size, 1))))
        offset = 0
        while offset < self._size:
            count = os.preadv(self._descriptor, [buffer], offset)
            if not count:  # the file shrank, which the comparison afterwards tells
                return
            self._digest.update(buffer[: min(count, self._size - offset)])
            offset += count

    def result(self) -> str:
        """Returns the hexadecimal digest when all bytes are read."""
        if self._thread is None:
            self._run()
        else:
            self._thread.join()
        return self._digest.hexdigest()


def _scanned(descriptor: int, size: int, shown: str, budget: Budget) -> FileReport:
    before = os.fstat(descriptor)
    hashing = _Hashing(descriptor, size)
    notes = Notes()
    inspection = Inspection(
        name=shown.rpartition("/")[2], place=shown, budget=budget, notes=notes, read=read_all
    )
    try:
        form = _read_guarded(View.of_file(descriptor, size), inspection)
    finally:
        digest = hashing.result()
    after = os.fstat(descriptor)
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        inspection.note("file.changed", Severity.HIGH, "the file changed while it was read")
    findings = notes.listed()
    return FileReport(
        path=shown,
        format=form,
        sha256=digest,
        bytes=size,
        outcome=outcome_of(findings),
        findings=findings,
    )


def _read_guarded(view: View, inspection: Inspection) -> str:
    try:
        form = read_all(view, inspection)
    except BudgetSpent as reason:
        inspection.note("scan.budget", Severity.MEDIUM, f"the scan stopped early: {reason}")
    except OSError as error:
        text = f"the scan could not go on: {error.strerror or error}"
        inspection.note("scan.stopped", Severity.MEDIUM, text)
    except Exception as error:  # noqa: BLE001 - hostile bytes found a defect of ours: never a pass
        text = f"the scan broke on these bytes ({type(error).__name__}); treat them as hostile"
        inspection.note("scan.broke", Severity.MEDIUM, text)
    else:
        check_suffix(form, inspection)
        return form
    return "unknown"


def _refused(shown: str, error: Exception) -> FileReport:
    if isinstance(error, NotRegularError):
        text, rule = f"it is {error}, not a regular file, and was not opened", "file.not_regular"
    else:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        text, rule = f"it cannot be read: {reason}", "file.unreadable"
    finding = Observation(rule=rule, severity=Severity.HIGH, detail=text, location=shown)
    return FileReport(
        path=shown, format="none", sha256=None, bytes=0, outcome="fail", findings=(finding,)
    )
