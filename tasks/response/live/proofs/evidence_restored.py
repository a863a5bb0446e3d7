"""The good bytes are back: everything verifies, and the model may be loaded by its evidence."""

from tasks.domain.errors import ProofhouseError
from tasks.ledger.verify import verify_all
from tasks.registry.serving import accepted_model
from tasks.response.live.attacks.tampered_evidence import TAMPERED, copy_of
from tasks.response.live.battle import Battle, Proof
from tasks.response.live.watches.evidence_altered import problems
from tasks.store.local import LocalStore


def prove(battle: Battle) -> Proof:
    """Verifies the whole store, and compares every altered object with the copy."""
    place = battle.ground.place
    found = verify_all(place.store, place.trust, place.witness)
    if not found.ok:
        return Proof(held=False, said=f"verify: {'; '.join(problems(found))}"[:1000])
    copy, tampered = LocalStore(copy_of(battle.ground.home)), battle.left.get(TAMPERED, ())
    try:
        same = [place.store.get(digest) == copy.get(digest) for digest in tampered]
        accepted_model(battle.ground.model.asset, place)
    except ProofhouseError as error:
        return Proof(held=False, said=error.message[:1000])
    held = bool(same) and all(same)
    return Proof(held=held, said=f"everything verifies; {sum(same)} objects are as in the copy")
