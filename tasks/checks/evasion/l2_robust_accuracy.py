"""How many inputs keep their class under every change of small length.

See ``robust_accuracy`` for what is done.
"""

from tasks.checks.evasion.robust_accuracy import measure_norm
from tasks.checks.evasion.settling import attack_block, bench_of
from tasks.checks.lab import Lab
from tasks.domain.measurement import Measurement
from tasks.sandbox.protocol import Reply

CHECK, VERSION = "evasion.l2_robust_accuracy", 2


def measure(lab: Lab) -> Measurement:
    """Attacks in the Euclidean ball until the gate is settled or the points are used up."""
    return measure_norm(lab, check=CHECK, version=VERSION, norm="l2")


def measure_part(lab: Lab, index: int) -> Reply:
    """Attacks one block of points; what :func:`measure` would get from its own child."""
    return attack_block(lab, bench_of(lab, "l2"), index)
