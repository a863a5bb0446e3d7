"""Makes a new signing key for this home; what the old one signed still verifies.

Only the development key that lies in the home can be rotated from here. A key in a token or cloud
is rotated by whoever keeps it; the step says so instead of pretending.
"""

from pathlib import Path

from tasks.domain.case import Said
from tasks.ledger.keys import open_signer, rotate_key
from tasks.response.acting import Acted, ActionError, Order, World

ASSUMED: dict[str, Said] = {"keyid": "dry-run"}


def preview(order: Order, world: World) -> str:  # noqa: ARG001 - the face of an action
    """Says which key would be put aside."""
    return f"put {_private(world)} aside and make a new key"


def act(order: Order, world: World) -> Acted:
    """Rotates the key once for this step, however often the step is done."""
    _private(world)
    done = world.store.claimed(f"rotations/{order.key.lower()}")
    if done is None:
        rotate_key(world.home)
        keyid = open_signer(None, home=world.home).public_key.keyid
        world.store.claim(f"rotations/{order.key.lower()}", keyid.encode())
    else:
        keyid = done.decode()
    return Acted(f"a new key signs from now on: {keyid}", said={"keyid": keyid})


def _private(world: World) -> Path:
    private = world.home / "keys" / "signing.pem"
    if not private.is_file():
        raise ActionError(
            f"there is no {private}: the key is kept elsewhere. Rotate it there, then set "
            "PROOFHOUSE_SIGNER and put its public half into keys/trusted."
        )
    return private
