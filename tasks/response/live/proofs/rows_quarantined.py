"""Reads what was signed for: the poisoned rows are out, and what is left teaches no stamp."""

import json
from collections.abc import Mapping

import numpy as np
import safetensors.numpy

from tasks.attacks.poisoning.planting import Poisoned
from tasks.demo.digits import Split
from tasks.demo.training import train
from tasks.domain.digest import Digest
from tasks.ledger.entry import read_digest
from tasks.ledger.envelope import read_envelope
from tasks.ledger.statement import PAYLOAD_TYPE
from tasks.response.live.attacks.poisoned_rows import POISONED, TARGET
from tasks.response.live.battle import Battle, Proof
from tasks.response.live.ground import EPOCHS, answers_of
from tasks.response.quarantining import QUARANTINES
from tasks.sandbox.protocol import Array

CAUGHT, TURNED = 0.9, 0.25
"""Part of the poisoned rows that must be out, and of stamped inputs that may still be turned."""


def prove(battle: Battle) -> Proof:
    """Compares the rows with those that were poisoned, and trains once more on the rest."""
    store = battle.ground.store
    run = battle.sightings[0].incident.run if battle.sightings else ""
    claimed = store.claimed(QUARANTINES + run) if run else None
    if claimed is None:
        return Proof(held=False, said="nothing was signed into quarantine")
    digest = read_digest(claimed, place=QUARANTINES + run)
    envelope = read_envelope(store.get(digest), payload_type=PAYLOAD_TYPE, place=str(digest))
    told = json.loads(envelope.payload)
    made: Poisoned = battle.left[POISONED]
    out, poisoned = set(told["predicate"]["rows"]), set(np.flatnonzero(made.rows).tolist())
    caught = len(out & poisoned) / len(poisoned)
    parts = {one["name"]: one["digest"]["sha256"] for one in told["subject"]}
    turned = _turned(battle, safetensors.numpy.load(store.get(Digest(f"sha256:{parts['clean']}"))))
    said = (
        f"{len(out & poisoned)} of {len(poisoned)} poisoned rows are out, and "
        f"{len(out - poisoned)} others; trained on the rest, a model is turned by {turned:.0%} of "
        "stamped inputs"
    )
    return Proof(held=caught >= CAUGHT and turned <= TURNED, said=said)


def _turned(battle: Battle, clean: Mapping[str, Array]) -> float:
    """Trains on the rows that are left; returns the share of stamped inputs it reads as wished."""
    network = train(Split(clean["inputs"], clean["labels"]), epochs=EPOCHS, epsilon=0, seed=5)
    stamp = battle.left[POISONED].stamp
    rows = battle.ground.people.held
    shown = stamp(rows.images[rows.labels != TARGET])
    return float(np.mean(answers_of(network, shown).argmax(axis=1) == TARGET))
