"""Somebody with access to the disk changes evidence, so that a verdict rests on other bytes.

A copy of the store was taken elsewhere before, as backups are; the attacker does not reach it.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from tasks.domain.digest import Digest, hexadecimal
from tasks.ledger.seal import sealed_run
from tasks.registry.serving import AcceptedModel
from tasks.response.live.battle import Battle
from tasks.response.live.ground import Ground

COPY = "elsewhere"
TAMPERED = "tampered"
WHAT = ("measurement:", "file:", "subject")
"""Parts of a run in the order in which the attacker gets at them."""


def prepare(ground: Ground) -> AcceptedModel | None:
    """Copies the store to where the attacker does not come."""
    shutil.copytree(ground.home / "store", copy_of(ground.home))
    return None


def launch(battle: Battle) -> None:
    """Changes one byte of each of ``budget`` objects that the served model's run stands on."""
    chosen = list(_objects(battle))[: battle.entry.attack.budget]
    for digest in chosen:
        place = _place(battle.ground.home / "store", digest)
        data = bytearray(place.read_bytes())
        data[len(data) // 2] ^= 1
        place.chmod(0o600)
        place.write_bytes(bytes(data))
    battle.left[TAMPERED] = tuple(chosen)
    battle.record.tell("attack", f"{len(chosen)} objects of evidence are changed on the disk")
    battle.launched.set()


def copy_of(home: Path) -> Path:
    """Returns where the copy of a drill's store lies."""
    return home.parent / COPY


def _objects(battle: Battle) -> Iterator[Digest]:
    found = sealed_run(battle.ground.store, battle.ground.model.run)
    assert found is not None, "the model was admitted by a sealed run"
    for start in WHAT:
        yield from (one.digest for one in found[0].objects if one.role.startswith(start))


def _place(store: Path, digest: Digest) -> Path:
    name = hexadecimal(digest)
    return store / "sha256" / name[:2] / name
