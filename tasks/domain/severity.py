"""How bad something is."""

from enum import StrEnum


class Severity(StrEnum):
    """Five steps, from worth knowing to stop everything."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info to 4 for critical."""
        return list(Severity).index(self)
