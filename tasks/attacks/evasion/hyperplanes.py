"""The smallest change that puts a point of a box on a hyperplane, in L-infinity and Euclid's norm.

Every value moves the way that helps, by ``t`` times its profile, until it meets the box; profiles
are 1 where the largest change counts and ``|normal|`` where the length counts (the conditions of
Karush, Kuhn and Tucker). How far that carries grows with ``t`` along a concave line of straight
pieces, on which Newton's method never overshoots and ends after finitely many steps.
"""

import torch

from tasks.attacks.evasion.balls import wide

MOST_STEPS = 30
TINY = 1e-12


def towards(
    places: torch.Tensor,
    normals: torch.Tensor,
    gaps: torch.Tensor,
    *,
    norm: str,
    bounds: tuple[float, float],
) -> torch.Tensor:
    """Returns the smallest changes d (m, …) with ``normal · d = gap``, inside the box.

    Args:
        places: Points of the box (m, …).
        normals: Normals of the hyperplanes (m, …).
        gaps: What ``normal · d`` must be (m,), of either sign.
        norm: ``linf`` or ``l2``: what is small.
        bounds: Lowest and highest value of the box.

    Where the box ends before the hyperplane, the change goes to the box's end.
    """
    signs = gaps.sign()
    facing = normals * wide(signs, normals)
    slopes = facing.abs()
    room = torch.where(facing > 0, bounds[1] - places, places - bounds[0]).clamp_min_(0)
    profile = torch.ones_like(slopes) if norm == "linf" else slopes
    weight = slopes * profile
    wanted, reach = gaps.abs(), torch.zeros_like(gaps)
    for _ in range(MOST_STEPS):
        moved = wide(reach, places) * profile
        carried = (slopes * torch.minimum(moved, room)).flatten(1).sum(dim=1)
        free = (weight * (moved < room)).flatten(1).sum(dim=1)
        missing = (wanted - carried).clamp_min(0)
        # Free values left over from rounding would send the next step to infinity.
        step = torch.where(free > TINY * wanted, missing / free.clamp_min(TINY), 0)
        reach = reach + step
        if not bool((missing > 1e-6 * wanted).logical_and(step > 0).any()):
            break
    return torch.minimum(wide(reach, places) * profile, room) * facing.sign()
