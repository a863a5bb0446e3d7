"""Incidents as OCSF 1.8.0 events (class 2005, Incident Finding), for a SIEM."""

from typing import Any

from tasks.domain.incident import Incident
from tasks.domain.severity import Severity

CATEGORY, CLASS = 2, 2005
CREATE, UPDATE, CLOSE = 1, 2, 3
_SEVERITY = {
    Severity.INFO: 1,
    Severity.LOW: 2,
    Severity.MEDIUM: 3,
    Severity.HIGH: 4,
    Severity.CRITICAL: 5,
}
_STATUS = {CREATE: 1, UPDATE: 2, CLOSE: 5}
"""New, in progress, closed."""


def incident_event(
    incident: Incident,
    *,
    key: str,
    case: str,
    severity: Severity,
    activity: int,
    message: str,
    time_ms: int,
    techniques: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Returns the event as JSON values.

    Args:
        incident: What happened.
        key: Id of this event; the same for a repetition.
        case: Id of the case; the SIEM's correlation key.
        severity: As the playbook says.
        activity: :data:`CREATE`, :data:`UPDATE` or :data:`CLOSE`.
        message: One sentence.
        time_ms: Milliseconds since 1970, UTC.
        techniques: ATLAS ids, which OCSF calls attacks.
    """
    return {
        "activity_id": activity,
        "category_uid": CATEGORY,
        "class_uid": CLASS,
        "type_uid": CLASS * 100 + activity,
        "severity_id": _SEVERITY[severity],
        "status_id": _STATUS[activity],
        "time": time_ms,
        "start_time": round(incident.detected.timestamp() * 1000),
        "message": message,
        "desc": incident.summary or incident.title,
        "metadata": {
            "version": "1.8.0",
            "product": {"name": "Proofhouse", "vendor_name": "Proofhouse"},
            "uid": key,
            "correlation_uid": case,
        },
        "finding_info_list": [
            {
                "uid": case,
                "title": incident.title,
                "attacks": [
                    {"technique": {"uid": each}, "version": "ATLAS"} for each in techniques
                ],
            }
        ],
    }
