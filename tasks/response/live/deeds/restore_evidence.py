"""Puts the good bytes back from the copy that lies elsewhere; each is checked by its digest."""

from tasks.domain.errors import StoreError
from tasks.response.following import Following
from tasks.response.live.attacks.tampered_evidence import copy_of
from tasks.response.live.battle import Battle
from tasks.store.local import LocalStore


def do(battle: Battle, work: Following) -> str:  # noqa: ARG001 - the face of a deed
    """Restores every object that does not read as its own digest any more.

    Raises:
        StoreError: The copy has not got the good bytes either.
    """
    store, copy = battle.ground.store, LocalStore(copy_of(battle.ground.home))
    mended = 0
    for digest in copy.digests():
        try:
            store.get(digest)
        except StoreError:
            store.put(copy.get(digest))
            mended += 1
    return f"{mended} objects restored from the copy"
