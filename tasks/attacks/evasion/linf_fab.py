"""Fast adaptive boundary attack in the L-infinity norm. See ``fab``."""

from typing import Any

from tasks.attacks.evasion.fab import fab
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Target


def linf_fab(target: Target, **settings: Any) -> Reply:
    """Runs :func:`fab` in the L-infinity norm; takes its arguments but ``norm``."""
    return fab(target, norm="linf", **settings)
