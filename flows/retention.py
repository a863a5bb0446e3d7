"""Retention: all evidence verified again, leftovers swept, old flow runs forgotten."""

from typing import Any

from prefect import flow

from tasks.forms import LeftoverDays, ReportDays, RunDays
from tasks.retaining.stage import forget_flow_runs, sweep_leftovers, verify_everything


@flow(name="keep-house", flow_run_name="keep house")
def keep_house(
    leftovers: LeftoverDays = 2, reports: ReportDays = 90, runs: RunDays = 90
) -> dict[str, Any]:
    """Verifies every byte of evidence and removes what is not evidence. Evidence stays for ever.

    Args:
        leftovers: Days after which scratch of dead runs goes.
        reports: Days after which laid-out reports go; they can be laid out again.
        runs: Days after which ended flow runs leave the Prefect server.
    """
    swept = sweep_leftovers(leftovers, reports)
    forgotten = forget_flow_runs(runs)
    return {"swept": swept, "forgotten_runs": forgotten, "verified": verify_everything()}
