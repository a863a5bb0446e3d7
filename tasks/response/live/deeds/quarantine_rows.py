"""Takes the rows that the review found out of the delivery, as ``proofhouse quarantine`` does."""

from tasks.domain.errors import InvalidInputError
from tasks.ledger.seal import sealed_run
from tasks.response.following import Following
from tasks.response.live.battle import Battle
from tasks.response.quarantining import keep, quarantine


def do(battle: Battle, work: Following) -> str:  # noqa: ARG001 - the face of a deed
    """Cuts the rows out, keeps both parts and signs for them.

    Raises:
        InvalidInputError: The incident's run found no such rows.
    """
    world = work.world
    found = sealed_run(world.store, work.incident.run)
    if found is None:
        raise InvalidInputError(f"no sealed run is called {work.incident.run!r}")
    cut = quarantine(found[0], world.store)
    envelope = keep(found[0], cut, world.store, signer=world.signer(), rollback=None)
    return f"{len(cut.rows)} rows are out, {len(cut.clean['labels'])} stay; signed as {envelope}"
