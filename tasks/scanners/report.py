"""What a scan says: findings per file and one outcome, in the shape of ``scan --json``."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from tasks.domain.frozen import Frozen
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity

FileOutcome = Literal["pass", "fail", "undecided"]

FAIL_AT = Severity.MEDIUM
"""A medium finding is a policy violation that the vendor has to mend, so it fails."""

NOT_ASSESSED = ("format.unknown", "format.not_assessed")
"""Rules that say: nobody looked inside. They keep a file from passing at any severity."""

OPENED = frozenset(
    {"onnx", "torchscript", "torch_export", "safetensors", "skops", "pickle", "joblib"}
)
"""Formats for which there is a target; everything else is read, never opened."""


class FileReport(Frozen):
    """One file. ``sha256`` is None only when the bytes could not be read at all."""

    path: str
    format: str
    sha256: str | None = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)
    outcome: FileOutcome
    findings: tuple[Observation, ...] = ()


class ScanReport(Frozen):
    """All files, and the worst of their outcomes. No file at all is undecided, not a pass."""

    outcome: FileOutcome
    files: tuple[FileReport, ...]

    @classmethod
    def of(cls, files: Iterable[FileReport]) -> "ScanReport":
        """Builds the report whose outcome is the worst of its files'."""
        kept = tuple(files)
        outcomes = {file.outcome for file in kept} or {"undecided"}
        worst: FileOutcome = "pass"
        if "fail" in outcomes:
            worst = "fail"
        elif "undecided" in outcomes:
            worst = "undecided"
        return cls(outcome=worst, files=kept)

    def file(self, path: str) -> FileReport | None:
        """Returns the report of ``path``, or None when it was not scanned."""
        return next((file for file in self.files if file.path == path), None)


def outcome_of(findings: Iterable[Observation]) -> FileOutcome:
    """Returns fail at :data:`FAIL_AT` or worse, undecided where nobody looked, else pass."""
    kept = tuple(findings)
    if any(finding.severity.rank >= FAIL_AT.rank for finding in kept):
        return "fail"
    return "undecided" if any(finding.rule in NOT_ASSESSED for finding in kept) else "pass"


def is_openable(report: ScanReport, path: str) -> tuple[bool, str]:
    """Answers whether the sandbox may open ``path`` as a model, and why not if it may not.

    Only the artifact's own report counts: a leaked key in a README does not make weights unsafe.
    """
    file = report.file(path)
    if file is None:
        return False, f"{path} was not scanned"
    if file.outcome != "pass":
        worst = max(file.findings, key=lambda finding: finding.severity.rank)
        return False, f"{path} did not pass the artifact scan: {worst.rule}: {worst.detail}"
    if file.format.partition("+")[0] not in OPENED:
        return False, f"{path} is {file.format}, a format that is never opened"
    return True, f"{path} is {file.format} and passed the artifact scan"
