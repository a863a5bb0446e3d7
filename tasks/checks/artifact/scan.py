"""Does any file hold code or structure that could harm whoever opens it?

Every file of the bundle is scanned in the child, byte by byte, with nothing executed. The rules
are those of ``tasks/scanners`` and of ``proofhouse scan``.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.checks.lab import Lab, NotAvailable
from tasks.domain.bundle import FileEntry, ModelSpec
from tasks.domain.digest import hexadecimal
from tasks.domain.measurement import Measurement, Observation, Status
from tasks.domain.severity import Severity
from tasks.scanners.asking import opinions_on
from tasks.scanners.report import NOT_ASSESSED, FileReport, ScanReport, is_openable
from tasks.scanners.second_opinion import installed

MOST_OBSERVATIONS = 1_000


def measure(lab: Lab) -> Measurement:
    """Returns one observation per finding of at least low severity.

    Raises:
        NotAvailable: The bundle has no files.
    """
    entries = lab.subject.files
    if not entries:
        raise NotAvailable("the bundle has no files")
    places = lab.admit(*(entry.path for entry in entries))
    reply = lab.run(
        "scanners.scan.scan_paths_json",
        paths=[str(place) for place in places],
        names=[entry.path for entry in entries],
    )
    values, asked = _with_opinions(lab, reply.values, places)
    report = ScanReport.model_validate_json(ScanReport.model_validate(values).canonical())
    found = [each for file in report.files for each in file.findings] + _unproven(report, entries)
    kept = sorted(
        (each for each in found if each.severity.rank >= Severity.LOW.rank),
        key=lambda each: (-each.severity.rank, each.location, each.rule),
    )
    return Measurement(
        check="artifact.scan",
        version=1,
        status=Status.MEASURED,
        detail=_detail(report, kept),
        observations=tuple(kept[:MOST_OBSERVATIONS]),
        alarms=tuple(_unread(file) for file in report.files if file.outcome == "undecided")[:50],
        method="Own bounded readers per format, typed by content; no object is ever built",
        limits=(
            "Scanners see structure, not behaviour: a harmless file can hold a bad model.",
            *asked,
        ),
        facts=_facts(report, lab.subject.spec.model),
    )


def _with_opinions(
    lab: Lab, values: dict[str, Any], places: Sequence[Path]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Asks other scanners when the battery wants it; says so when none is there."""
    if not lab.parameters.get("second_opinion"):
        return values, ()
    scanners = installed()
    if not scanners:
        return values, ("A second opinion was wanted, and no second scanner is installed.",)
    return opinions_on(values, places, scanners, lab.sandbox), ()


def _unproven(report: ScanReport, entries: tuple[FileEntry, ...]) -> list[Observation]:
    """The child's word is not enough: it must have read exactly the bytes that we sent."""
    told = {file.path: file.sha256 for file in report.files}
    return [
        Observation(
            rule="scan.other_bytes",
            severity=Severity.HIGH,
            detail=f"the scan reports {told.get(entry.path)}, the file is {entry.digest}",
            location=entry.path,
        )
        for entry in entries
        if told.get(entry.path) != hexadecimal(entry.digest)
    ]


def _unread(file: FileReport) -> str:
    reasons = sorted({each.rule for each in file.findings if each.rule in NOT_ASSESSED})
    return f"{file.path} was not assessed ({', '.join(reasons)})"


def _detail(report: ScanReport, kept: list[Observation]) -> str:
    serious = sum(each.severity.rank >= Severity.MEDIUM.rank for each in kept)
    unread = sum(file.outcome == "undecided" for file in report.files)
    return f"{len(report.files)} files scanned: {serious} findings matter, {unread} not assessed."


def _facts(report: ScanReport, model: ModelSpec) -> dict[str, str | int | float | bool | None]:
    formats = Counter(file.format for file in report.files)
    if model.artifact:
        openable, reason = is_openable(report, model.artifact)
    else:  # an endpoint is asked, nothing of it is opened here
        openable, reason = model.endpoint is not None, "no artifact"
    facts: dict[str, str | int | float | bool | None] = {
        "files": len(report.files),
        "bytes": sum(file.bytes for file in report.files),
        "outcome": report.outcome,
        "artifact_may_be_opened": openable,
        "artifact_reason": reason,
        "refused": None if openable else reason,
    }
    facts |= {f"format.{name}": count for name, count in sorted(formats.items())}
    return facts | {f"sha256.{file.path}": file.sha256 for file in report.files[:100]}
