"""Makes a new signing key for this home; what the old one signed still verifies.

Only the development key that lies in the home can be rotated from here. A key in a token or cloud
is rotated by whoever keeps it; the step says so instead of pretending.
"""

from pathlib import Path

from tasks.domain.case import Said
from tasks.ledger.keys import make_key, open_signer, rotate_key
from tasks.response.acting import Acted, ActionError, Order, World, first_seen, seen_before

ASSUMED: dict[str, Said] = {"keyid": "dry-run"}


def preview(order: Order, world: World) -> str:  # noqa: ARG001 - the face of an action
    """Says which key would be put aside."""
    _verify_here(world)
    return f"put {_private(world)} aside and make a new key"


def act(order: Order, world: World) -> Acted:
    """Rotates the key once for this step, however often the step is done."""
    if seen_before(order, world) is not None and not _private(world).is_file():
        make_key(world.home)  # an earlier try died after the old key was put aside
    _verify_here(world)
    before = first_seen(order, world, _keyid(world))
    if _keyid(world) == before:
        rotate_key(world.home)
    return Acted(f"a new key signs from now on: {_keyid(world)}", said={"keyid": _keyid(world)})


def _keyid(world: World) -> str:
    return open_signer(None, home=world.home).public_key.keyid


def _private(world: World) -> Path:
    return world.home / "keys" / "signing.pem"


def _verify_here(world: World) -> None:
    if not _private(world).is_file():
        raise ActionError(
            f"there is no {_private(world)}: the key is kept elsewhere. Rotate it there, then set "
            "PROOFHOUSE_SIGNER and put its public half into keys/trusted."
        )
