"""Reports and announcements: what people see in the file, in the Prefect UI and on stdout."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import task
from prefect.artifacts import create_link_artifact, create_table_artifact

from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.errors import EvidenceError
from tasks.domain.execution import Execution
from tasks.domain.finding import Decision, Finding
from tasks.domain.measurement import Measurement
from tasks.domain.run import RunRecord
from tasks.domain.spec import RunPlan
from tasks.ledger.keys import trusted_keys
from tasks.ledger.seal import Sealed, sealed_run
from tasks.ledger.verify import verify_run
from tasks.ledger.witness import Witness
from tasks.reports.html import Story, render_html
from tasks.reports.json import summary
from tasks.runtime import services

_log = logging.getLogger(__name__)


@task(name="report", task_run_name="report")
def write_report(
    plan: RunPlan,
    executions: Sequence[Execution],
    findings: tuple[Finding, ...],
    decision: Decision,
) -> Digest:
    """Renders the HTML report of a run and stores it; returns its digest."""
    return write_report_here(plan, executions, findings, decision)


def write_report_here(
    plan: RunPlan,
    executions: Sequence[Execution],
    findings: tuple[Finding, ...],
    decision: Decision,
) -> Digest:
    """Does the same in this process, without Prefect."""
    store = services().store
    story = Story(
        plan=plan,
        subject=Subject.parse(store.get(plan.bundle)),
        executions=tuple(executions),
        measurements={
            run.check: Measurement.parse(store.get(run.measurement)) for run in executions
        },
        findings=findings,
        decision=decision,
        sandbox=services().sandbox,
        artifact=store.get,
    )
    return store.put(render_html(story).encode()).digest


def announce(run: str) -> dict[str, Any]:
    """Verifies a sealed run, lays out its report, shows it in the UI; returns its summary.

    Raises:
        EvidenceError: The evidence of the run does not verify; the message names every problem.
    """
    record, sealed = _verified(run)
    path = lay_out_report(record)
    _show(record, path)
    return summary(record, sealed, str(path))


def lay_out_report(record: RunRecord) -> Path:
    """Writes the sealed report of a run to ``<home>/reports/<run>.html`` and returns the path."""
    here = services()
    folder = here.settings.home.resolve() / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    digest = next(entry.digest for entry in record.objects if entry.role == "report")
    path = folder / f"{record.run}.html"
    path.write_bytes(here.store.get(digest))
    return path


def _verified(run: str) -> tuple[RunRecord, Sealed]:
    here = services()
    home = here.settings.home.resolve()
    checked = verify_run(run, here.store, trusted_keys(home), Witness(home))
    found = sealed_run(here.store, run)
    if found is None or not checked.ok:
        problems = "; ".join(checked.problems) or "it was never sealed"
        raise EvidenceError(f"The evidence of {run} does not verify: {problems}")
    return found


def _show(record: RunRecord, path: Path) -> None:
    rows = [
        {
            "check": finding.check,
            "outcome": finding.outcome.value,
            "severity": finding.severity.value,
            "detail": finding.detail[:300],
        }
        for finding in record.findings
    ]
    try:
        create_table_artifact(
            table=rows,
            key=f"findings-{record.run}",
            description=f"**{record.decision.verdict}**: {record.asset}",
        )
        create_link_artifact(
            link=path.as_uri(), key=f"report-{record.run}", link_text="HTML report"
        )
    except Exception as error:  # noqa: BLE001 - a server that is gone must not undo a verdict
        _log.warning("the Prefect UI shows no findings of %s: %s", record.run, error)
