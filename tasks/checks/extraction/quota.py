"""From a fidelity curve to a number that a gateway can enforce."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from tasks.domain.estimate import Estimate

SCHEMA = "proofhouse.quota/1"


class Quota(NamedTuple):
    """How many answers one client may have, and when somebody should look at it.

    ``crossed_at`` is the smallest budget tried at which the gain can no longer be called
    tolerable, None when it can at every one.
    """

    queries: int
    alert_at: int
    crossed_at: int | None
    tried: int

    @property
    def basis(self) -> str:
        """Says where the number comes from."""
        if self.crossed_at is None:
            return f"no budget up to {self.tried} gives a copy more than is tolerated"
        return f"a copy may gain more than is tolerated from {self.crossed_at} queries on"

    def document(self, *, tolerated: float, monitors: dict[str, int | None]) -> dict[str, Any]:
        """Returns it as a gateway reads it: JSON values."""
        return {
            "schema": SCHEMA,
            "queries_per_client": self.queries,
            "alert_at_queries": self.alert_at,
            "crossed_at_queries": self.crossed_at,
            "tried_up_to_queries": self.tried,
            "tolerated_gain": tolerated,
            "basis": self.basis,
            "distance_monitor_alarms_at": monitors,
        }


def recommended(budgets: Sequence[int], gains: Sequence[Estimate], tolerated: float) -> Quota:
    """Returns the largest budget tried before the gain's interval first passes ``tolerated``.

    Half of it is time to look: a thief who paces itself is then found before it is done.
    """
    crossed = next(
        (at for at, gain in zip(budgets, gains, strict=True) if gain.high > tolerated), None
    )
    safe = [at for at in budgets if crossed is None or at < crossed]
    queries = safe[-1] if safe else 0
    return Quota(queries, queries // 2, crossed, budgets[-1])
