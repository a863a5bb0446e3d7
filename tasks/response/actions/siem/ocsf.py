"""Tells the SIEM: one OCSF event to a file of JSON lines, a syslog server, or an HTTP collector."""

import socket
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tasks.domain.case import Said
from tasks.domain.frozen import canonical_json
from tasks.domain.severity import Severity
from tasks.response import ocsf
from tasks.response.acting import Acted, ActionError, Order, World

ASSUMED: dict[str, Said] = {}
_ACTIVITY = {"create": ocsf.CREATE, "update": ocsf.UPDATE, "close": ocsf.CLOSE}
_SYSLOG = 8 * 13 + 5
"""Priority of RFC 5424: facility 13 (log audit), severity 5 (notice)."""


def preview(order: Order, world: World) -> str:  # noqa: ARG001 - the face of an action
    """Says where the event would go."""
    return f"send an OCSF event to {world.channels.siem or 'no SIEM (response.siem is empty)'}"


def act(order: Order, world: World) -> Acted:
    """Sends one event; ``parameters["activity"]`` is create, update or close.

    Raises:
        ActionError: No SIEM is set up, or it does not take the event.
    """
    place = world.channels.siem
    if not place:
        raise ActionError("there is no SIEM: set response.siem, then resume the case")
    line = canonical_json(_event(order))
    try:
        _send(place, line, order.key, world.channels.timeout_seconds)
    except (OSError, httpx.HTTPError) as error:
        raise ActionError(f"the SIEM at {place} did not take the event: {error}") from error
    return Acted(f"told the SIEM at {place}", evidence=(world.store.put(line).digest,))


def _event(order: Order) -> dict[str, object]:
    # The moment of detection, not of sending: the same step is the same event.
    moment = round(order.incident.detected.astimezone(UTC).timestamp() * 1000)
    return ocsf.incident_event(
        order.incident,
        key=order.key,
        case=order.case,
        severity=Severity(str(order.parameters.get("severity", "high"))),
        activity=_ACTIVITY[order.text("activity")],
        message=order.text("text"),
        time_ms=moment,
        techniques=order.texts("techniques"),
    )


def _send(place: str, line: bytes, key: str, timeout: float) -> None:
    parts = urlsplit(place)
    if parts.scheme == "file":
        _append_once(Path(place.removeprefix("file:")), line)
    elif parts.scheme in {"http", "https"}:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        httpx.post(place, content=line, headers=headers, timeout=timeout).raise_for_status()
    elif parts.scheme in {"udp", "tcp"} and parts.hostname and parts.port:
        _syslog(parts.scheme, (parts.hostname, parts.port), line, timeout)
    else:
        raise ActionError(f"response.siem is {place!r}: file:, udp://, tcp:// or http(s):// needed")


def _append_once(path: Path, line: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    known = path.read_bytes().splitlines() if path.is_file() else []
    if line not in known:
        with path.open("ab") as log:
            log.write(line + b"\n")


def _syslog(scheme: str, address: tuple[str, int], line: bytes, timeout: float) -> None:
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    frame = f"<{_SYSLOG}>1 {stamp} {socket.gethostname()} proofhouse - ocsf - ".encode() + line
    if scheme == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.sendto(frame, address)
        return
    with socket.create_connection(address, timeout=timeout) as stream:
        stream.sendall(str(len(frame)).encode() + b" " + frame)  # octet counting, RFC 6587 3.4.1
