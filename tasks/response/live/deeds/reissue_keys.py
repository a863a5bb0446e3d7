"""Gives the owner of a stolen key a new one; the old one stays what it is."""

from tasks.response.following import Following
from tasks.response.live.battle import Battle

OWNERS = "owners"


def do(battle: Battle, work: Following) -> str:  # noqa: ARG001 - the face of a deed
    """Makes a key for each account whose key the attacker holds."""
    role = battle.entry.attack.role
    battle.left[OWNERS] = [battle.line(line.account, role) for line in battle.lines]
    return f"new keys for {', '.join(line.account for line in battle.lines)}"
