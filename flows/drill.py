"""Drills: a tabletop played in typed forms, or a live-fire drill, scored and kept."""

from typing import Any

from prefect import flow

from tasks.forms import NEXT, DrillName, LiveForm, TableForm
from tasks.response.rehearsing.stage import hold


@flow(name="hold-drill", flow_run_name="drill {drill}")
def hold_drill(
    drill: DrillName = NEXT,
    table: TableForm = TableForm(),  # noqa: B008 - immutable; Prefect shows the default in the form
    live: LiveForm = LiveForm(),  # noqa: B008 - likewise
) -> dict[str, Any]:
    """Holds a drill and keeps the signed result; what it teaches becomes items with owner and day.

    A tabletop begins when a form says that the team is here. Every question is a form of its own;
    what the players are told is an artifact of the run. A deployed run ends while it waits.

    Args:
        drill: Entry of the catalog; ``next`` is the tabletop that was held longest ago.
        table: For tabletops.
        live: For live-fire drills.
    """
    return hold(drill, table, live)
