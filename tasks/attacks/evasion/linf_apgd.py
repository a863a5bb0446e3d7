"""Auto-PGD where every value may change by epsilon at most. See ``apgd``."""

from typing import Any

from tasks.attacks.evasion.apgd import apgd
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Target


def linf_apgd(target: Target, **settings: Any) -> Reply:
    """Runs :func:`apgd` in the L-infinity ball; takes its arguments but ``norm``."""
    return apgd(target, norm="linf", **settings)
