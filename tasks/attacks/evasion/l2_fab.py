"""Fast adaptive boundary attack in the Euclidean norm. See ``fab``."""

from typing import Any

from tasks.attacks.evasion.fab import fab
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Target


def l2_fab(target: Target, **settings: Any) -> Reply:
    """Runs :func:`fab` in the Euclidean norm; takes its arguments but ``norm``."""
    return fab(target, norm="l2", **settings)
