"""While the evidence was altered, verification refused it, and nothing would have been served."""

from tasks.response.live.attacks.tampered_evidence import TAMPERED
from tasks.response.live.battle import Battle, Proof
from tasks.response.live.watches.evidence_altered import PROBLEMS


def prove(battle: Battle) -> Proof:
    """Every altered object must have been named by the verification that raised the alarm."""
    tampered, problems = battle.left.get(TAMPERED, ()), battle.left.get(PROBLEMS, [])
    told = " ".join(problems)
    unnamed = [digest for digest in tampered if digest not in told]
    said = f"{len(tampered) - len(unnamed)} of {len(tampered)} altered objects were named"
    return Proof(held=bool(tampered) and not unnamed, said=said)
