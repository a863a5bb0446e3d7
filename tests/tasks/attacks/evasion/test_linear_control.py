"""On a linear model attacks with slopes break exactly the points that the closed form says."""

import numpy as np
import pytest

from tasks.attacks.evasion.linear_control import linear_control
from tasks.checks.evasion.controls import EDGE, broken_within, closed_form
from tasks.targets.protocol import Target

NOBODY: Target = None  # type: ignore[assignment]  # the opened target is left alone


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("seed", [3, 7])
@pytest.mark.parametrize("attack", ["by_gradient", "by_boundary"])
def test_reaches_what_lies_just_inside_the_radius(norm: str, seed: int, attack: str) -> None:
    reply = linear_control(NOBODY, norm=norm, square_queries=0, seed=seed)
    distance, epsilon = closed_form(reply, norm), float(reply.values["epsilon"])
    broken = broken_within(reply, attack, epsilon, norm)
    inside, outside = distance < epsilon * (1 - EDGE), distance > epsilon * (1 + EDGE)
    assert inside.any()
    np.testing.assert_array_equal(np.flatnonzero(inside & ~broken), [])
    assert not (outside & broken).any()
