"""Alarms: what monitors raise is answered by playbooks, once."""

from typing import Any

from prefect import flow

from tasks.alarms.stage import answer_waiting
from tasks.forms import AlarmName


@flow(name="answer-alarms", flow_run_name="answer alarms")
def answer_alarms(alarm: AlarmName | None = None) -> list[dict[str, Any]]:
    """Starts the playbooks that are for an alarm: live, in a dry run or not, as settings say.

    An automation runs it for every alarm; the schedule catches what was missed. An alarm is
    answered once, and a case has one run, however often this runs.

    Args:
        alarm: One alarm; every alarm that waits is answered as well.
    """
    return answer_waiting(alarm)
