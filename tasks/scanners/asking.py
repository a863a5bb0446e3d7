"""Asks other scanners about scanned files, each question in a child of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.domain.errors import ChildError
from tasks.sandbox.protocol import Sandbox
from tasks.scanners.report import ScanReport
from tasks.scanners.second_opinion import (
    LIMITS,
    Opinion,
    failed,
    opinion_of,
    with_opinions,
)
from tasks.scanners.suffixes import TEXTS


def opinions_on(
    document: Mapping[str, Any], places: Sequence[Path], scanners: Sequence[str], sandbox: Sandbox
) -> dict[str, Any]:
    """Returns a ``scan --json`` document with the opinions of ``scanners`` in its findings.

    Nobody is asked about plain text, which none of them reads.

    Args:
        document: What ``scan_paths_json`` answered.
        places: Where its files lie, in its order.
        scanners: Names out of ``second_opinion.SCANNERS``.
        sandbox: Where they run.
    """
    report = ScanReport.model_validate(document, strict=False)
    asked = [
        with_opinions(file, [_asked(name, place, sandbox) for name in scanners])
        if file.sha256 is not None and file.format not in TEXTS
        else file
        for file, place in zip(report.files, places, strict=True)
    ]
    answered: dict[str, Any] = ScanReport.of(asked).model_dump(mode="json")
    return answered


def _asked(scanner: str, place: Path, sandbox: Sandbox) -> Opinion:
    try:
        with sandbox.session((place.parent,), LIMITS) as session:
            reply = session.call(
                "scanners.second_opinion.ask_scanner", scanner=scanner, path=str(place)
            )
    except ChildError as error:
        return failed(scanner, str(error))
    return opinion_of(reply, scanner)
