"""How many inputs keep their class under every small change of each value.

See ``robust_accuracy`` for what is done.
"""

from tasks.checks.evasion.robust_accuracy import measure_norm
from tasks.checks.evasion.settling import attack_block, bench_of
from tasks.checks.lab import Lab
from tasks.domain.measurement import Measurement
from tasks.sandbox.protocol import Reply

CHECK, VERSION = "evasion.linf_robust_accuracy", 2


def measure(lab: Lab) -> Measurement:
    """Attacks in the L-infinity ball until the gate is settled or the points are used up."""
    return measure_norm(lab, check=CHECK, version=VERSION, norm="linf")


def measure_part(lab: Lab, index: int) -> Reply:
    """Attacks one block of points; what :func:`measure` would get from its own child."""
    return attack_block(lab, bench_of(lab, "linf"), index)
