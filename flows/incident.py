"""Incidents: a playbook followed, waiting for people without holding a process."""

from typing import Any

from prefect import flow

from tasks.forms import DryRun, IncidentForm, PlaybookName
from tasks.response.stage import follow_case


@flow(name="respond-to-incident", flow_run_name="respond {playbook}")
def respond_to_incident(
    playbook: PlaybookName, incident: IncidentForm, dry_run: DryRun = False
) -> dict[str, Any]:
    """Does every step that needs nobody, shows where the case stands, and waits for people.

    A deployed run is suspended while it waits; whoever resumes it says in a form what was done. The
    case lies in the object store, so that a run that dies is followed by another one.

    Args:
        playbook: Entry of the catalog, for example ``incident.model_extraction``.
        incident: What happened, as the person or monitor that saw it reports it.
        dry_run: Say what would be done, and do nothing.
    """
    return follow_case(playbook, incident, dry_run=dry_run)
