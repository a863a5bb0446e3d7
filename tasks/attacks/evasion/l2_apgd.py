"""Auto-PGD where the whole change is at most epsilon long. See ``apgd``."""

from typing import Any

from tasks.attacks.evasion.apgd import apgd
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Target


def l2_apgd(target: Target, **settings: Any) -> Reply:
    """Runs :func:`apgd` in the Euclidean ball; takes its arguments but ``norm``."""
    return apgd(target, norm="l2", **settings)
