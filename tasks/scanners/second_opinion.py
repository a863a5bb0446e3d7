"""What other scanners say about a file: picklescan, modelscan and fickling, where installed.

They read hostile bytes with code that is not ours, so they only run in a child with its own limits
(:func:`ask_scanner` is the procedure), and what they say is a claim: it never changes an outcome.
"""

import importlib
import importlib.metadata
import importlib.util
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.sandbox.protocol import Limits, Reply
from tasks.scanners.report import FileReport

Answer = Literal["flagged", "silent", "failed"]
SCANNERS = ("picklescan", "modelscan", "fickling")
LIMITS = Limits(memory_bytes=4 << 30, call_seconds=60, file_bytes=1 << 20, reply_bytes=1 << 16)
"""For one file and one scanner; who needs more has no opinion."""

MOST_REASON = 160


class Opinion(NamedTuple):
    """What one scanner says about one file."""

    scanner: str
    version: str
    answer: Answer
    reason: str


def installed() -> tuple[str, ...]:
    """Returns the scanners that this installation has, in a fixed order."""
    return tuple(name for name in SCANNERS if importlib.util.find_spec(name) is not None)


def ask_scanner(*, scanner: str, path: str) -> Reply:
    """Procedure for a child of its own: asks one scanner about one file.

    Returns:
        A reply whose values are the fields of :class:`Opinion`.
    """
    asked: dict[str, Callable[[Path], tuple[Answer, str]]] = {
        "picklescan": _picklescan,
        "modelscan": _modelscan,
        "fickling": _fickling,
    }
    answer: Answer
    try:
        answer, reason = asked[scanner](Path(path))
    except Exception as error:  # noqa: BLE001 - foreign code on hostile bytes raises anything
        answer, reason = "failed", f"{type(error).__name__}: {error}"
    version = importlib.metadata.version(scanner)
    opinion = Opinion(scanner, version, answer, reason[:MOST_REASON])
    return Reply({}, opinion._asdict())


def opinion_of(reply: Reply, scanner: str) -> Opinion:
    """Reads a reply of :func:`ask_scanner`; what is no opinion counts as failed."""
    values = reply.values
    answer = values.get("answer")
    if answer not in ("flagged", "silent", "failed"):
        return failed(scanner, "its answer is none")
    return Opinion(scanner, str(values.get("version"))[:40], answer, str(values.get("reason")))


def failed(scanner: str, reason: str) -> Opinion:
    """Returns the opinion of a scanner that died, hung or was not understood."""
    return Opinion(scanner, "", "failed", reason[:MOST_REASON])


def compared(file: FileReport, opinions: Iterable[Opinion]) -> tuple[Observation, ...]:
    """Returns a finding wherever a scanner and the own scan do not say the same."""
    serious = [each for each in file.findings if each.severity.rank >= Severity.HIGH.rank]
    told = []
    for one in opinions:
        name = f"{one.scanner} {one.version}".strip()
        if one.answer == "failed":
            rule, text = "second_opinion.failed", f"{name} has no opinion: {one.reason}"
        elif one.answer == "flagged" and file.outcome == "pass":
            rule = "second_opinion.disagreement"
            text = f"{name} calls this file dangerous ({one.reason}); the own scan found nothing"
        elif one.answer == "silent" and serious:
            rule = "second_opinion.disagreement"
            text = f"{name} says nothing about this file; the own scan found {serious[0].rule}"
        else:
            continue
        told.append(
            Observation(rule=rule, severity=Severity.LOW, detail=_plain(text), location=file.path)
        )
    return tuple(told)


def with_opinions(file: FileReport, opinions: Iterable[Opinion]) -> FileReport:
    """Returns the report with what other scanners say behind its own findings."""
    return file.model_copy(update={"findings": file.findings + compared(file, opinions)})


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:300]


def _picklescan(path: Path) -> tuple[Answer, str]:
    result = importlib.import_module("picklescan.scanner").scan_file_path(str(path))
    if result.infected_files or result.issues_count:
        names = sorted({f"{each.module}.{each.name}" for each in result.globals if _bad(each)})
        return "flagged", ", ".join(names[:5]) or "issues"
    return ("failed", "it reports an error") if result.scan_err else ("silent", "")


def _bad(found: Any) -> bool:
    return str(getattr(found.safety, "value", found.safety)) == "dangerous"


def _modelscan(path: Path) -> tuple[Answer, str]:
    scanner = importlib.import_module("modelscan.modelscan").ModelScan()
    result: dict[str, Any] = scanner.scan(path)
    if result["issues"]:
        names = sorted({str(each.get("description", "")) for each in result["issues"]})
        return "flagged", "; ".join(names[:3])
    if result["errors"]:
        return "failed", str(result["errors"][0].get("description", "it reports an error"))
    if result["summary"]["scanned"]["total_scanned"] == 0:
        return "failed", "it skipped the file"
    return "silent", ""


def _fickling(path: Path) -> tuple[Answer, str]:
    """Fickling reads pickles; of an archive every pickle is handed to it."""
    fickle = importlib.import_module("fickling.fickle")
    analysis = importlib.import_module("fickling.analysis")
    worst = analysis.Severity.LIKELY_SAFE
    for data in _pickles(path):
        for pickled in fickle.StackedPickle.load(data):
            worst = max(worst, analysis.check_safety(pickled).severity)
    if worst > analysis.Severity.LIKELY_SAFE:
        return "flagged", str(worst.name).lower().replace("_", " ")
    return "silent", ""


def _pickles(path: Path) -> list[bytes]:
    if not zipfile.is_zipfile(path):
        return [path.read_bytes()]
    with zipfile.ZipFile(path) as archive:
        return [archive.read(name) for name in archive.namelist() if name.endswith(".pkl")]
