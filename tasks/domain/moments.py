"""How moments are written wherever they are kept."""

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """Returns a moment in UTC to the second, ``2026-01-31T07:05:00Z``; such texts sort by time."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
