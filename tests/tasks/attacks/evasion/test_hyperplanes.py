import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from tasks.attacks.evasion.hyperplanes import towards

BOUNDS = (0.0, 1.0)


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, float]:
    """A point of the box, a normal, and a gap that the box leaves room for."""
    size = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    place, normal = rng.uniform(0, 1, size), rng.normal(size=size)
    ends = np.where(normal > 0, 1 - place, -place)
    share = draw(st.floats(-0.95, 0.95))
    return place, normal, float(share * (normal @ ends))


def solved(place: np.ndarray, normal: np.ndarray, gap: float, norm: str) -> np.ndarray:
    found = towards(
        torch.tensor(place, dtype=torch.float64)[None],
        torch.tensor(normal, dtype=torch.float64)[None],
        torch.tensor([gap], dtype=torch.float64),
        norm=norm,
        bounds=BOUNDS,
    )
    change: np.ndarray = found[0].numpy()
    return change


def reachable(place: np.ndarray, normal: np.ndarray, gap: float) -> bool:
    ends = np.where(normal * np.sign(gap) > 0, 1 - place, -place)
    return bool(abs(normal @ ends) >= abs(gap))


@pytest.mark.parametrize("norm", ["linf", "l2"])
@given(problem=problems())
def test_reaches_the_hyperplane_inside_the_box(
    norm: str, problem: tuple[np.ndarray, np.ndarray, float]
) -> None:
    place, normal, gap = problem
    change = solved(place, normal, gap, norm)
    moved = place + change
    assert moved.min() >= -1e-9
    assert moved.max() <= 1 + 1e-9
    if reachable(place, normal, gap):
        assert normal @ change == pytest.approx(gap, rel=1e-4, abs=1e-9)


@given(problem=problems())
def test_no_change_with_a_smaller_largest_value_gets_there(
    problem: tuple[np.ndarray, np.ndarray, float],
) -> None:
    """Oracle: the same question as a linear programme."""
    place, normal, gap = problem
    if not reachable(place, normal, gap):
        return
    size = len(place)
    both = np.vstack([np.eye(size), -np.eye(size)])
    answer = optimize.linprog(
        [0] * size + [1],
        A_ub=np.hstack([both, -np.ones((2 * size, 1))]),
        b_ub=np.zeros(2 * size),
        A_eq=[[*normal, 0]],
        b_eq=[gap],
        bounds=[*zip(-place, 1 - place, strict=True), (0, None)],
    )
    assert np.abs(solved(place, normal, gap, "linf")).max() == pytest.approx(
        answer.fun, rel=1e-4, abs=1e-7
    )


@given(problem=problems())
def test_the_shortest_change_keeps_its_direction_where_the_box_allows(
    problem: tuple[np.ndarray, np.ndarray, float],
) -> None:
    """Karush, Kuhn, Tucker: free values are one multiple of the normal, stopped ones want more."""
    place, normal, gap = problem
    change = solved(place, normal, gap, "l2")
    room = np.where(normal * np.sign(gap) > 0, 1 - place, place)
    free = np.abs(change) < room - 1e-9
    if not reachable(place, normal, gap) or not free.any():
        return
    multiples = change[free] / normal[free]
    assert np.ptp(multiples) <= 1e-6 * (1 + np.abs(multiples).max())
    assert (np.abs(change[~free]) <= np.abs(multiples[0] * normal[~free]) + 1e-6).all()
