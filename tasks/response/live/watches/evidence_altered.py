"""Verification of everything in the store: bytes, signatures, ledger. Whoever alters is noticed."""

from collections.abc import Callable
from datetime import UTC, datetime

from tasks.domain.incident import Incident
from tasks.ledger.verify import Verification, verify_all
from tasks.response.live.battle import Battle, Sighting

VERIFY = "verify"
PROBLEMS = "problems"


def watching(battle: Battle) -> Callable[[], list[Sighting]]:
    """Returns a look that verifies until something is wrong; what is, is said once."""
    place, said = battle.ground.place, list[bool]()

    def look() -> list[Sighting]:
        # The proof asks for all that was altered: a look in the middle of the deed sees a part.
        if said or not battle.launched.is_set():
            return []
        found = verify_all(place.store, place.trust, place.witness)
        if found.ok:
            return []
        said.append(True)
        battle.left[PROBLEMS] = problems(found)
        return [_sighting(battle)]

    return look


def problems(found: Verification) -> list[str]:
    """Returns what is wrong, of the log and of every run."""
    return [*found.problems, *(problem for run in found.runs for problem in run.problems)]


def _sighting(battle: Battle) -> Sighting:
    now, model = datetime.now(UTC), battle.ground.model
    incident = Incident(
        schema_="proofhouse.incident/1",
        title=f"Evidence was altered: {model.asset}"[:300],
        detected=now,
        reported_by="proofhouse verify",
        summary="; ".join(battle.left[PROBLEMS])[:4000],
        asset=model.asset,
        run=model.run,
        facts=dict(battle.entry.facts),
    )
    return Sighting(by=VERIFY, at=now, incident=incident)
