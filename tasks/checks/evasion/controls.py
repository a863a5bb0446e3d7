"""Shows in the same run that the attacks find what can be found, and nothing else."""

import numpy as np

from tasks.checks.lab import Lab
from tasks.domain.measurement import Control
from tasks.sandbox.protocol import Array, Reply
from tasks.statistics.intervals import binomial

EDGE = 1e-3
"""Points this close to the radius (relative) are left out: rounding decides them."""
SCORE_FACTOR = {"linf": 0.8, "l2": 0.5}
"""Points that lie this deep inside the radius must fall to a search without gradients too."""
STEPS, SQUARE_QUERIES = 50, 1000
ORDER: dict[str, float] = {"linf": np.inf, "l2": 2, "l1": 1}
DUAL: dict[str, float] = {"linf": 1, "l2": 2, "l1": np.inf}


def linear_controls(lab: Lab, *, norm: str) -> tuple[Control, ...]:
    """Attacks a linear model and compares with the closed form, computed here with numpy."""
    reply = lab.run(
        "attacks.evasion.linear_control",
        norm=norm,
        steps=STEPS,
        square_queries=SQUARE_QUERIES,
        seed=lab.seed,
    )
    distance = closed_form(reply, norm)
    epsilon = float(reply.values["epsilon"])
    inside, outside = distance < epsilon * (1 - EDGE), distance > epsilon * (1 + EDGE)
    by_gradient, by_boundary, by_scores = (
        broken_within(reply, name, epsilon, norm)
        for name in ("by_gradient", "by_boundary", "by_scores")
    )
    deep = distance < epsilon * SCORE_FACTOR[norm]
    return (
        must_fall("linear model, within reach of gradients", by_gradient[inside]),
        must_fall("linear model, within reach of its boundary", by_boundary[inside]),
        must_fall("linear model, well within reach of scores", by_scores[deep]),
        must_stand("linear model, out of reach", (by_gradient | by_boundary | by_scores)[outside]),
    )


def closed_form(reply: Reply, norm: str) -> Array:
    """Returns how far each input of the linear control is from another class (n,)."""
    weights, labels = reply.arrays["weights"].astype(np.float64), reply.arrays["labels"]
    scores = reply.arrays["inputs"].astype(np.float64) @ weights.T + reply.arrays["bias"]
    lead = scores[np.arange(len(labels)), labels][:, None] - scores
    slope = np.linalg.norm(weights[labels][:, None] - weights[None], ord=DUAL[norm], axis=2)
    reach: Array = np.divide(lead, slope, out=np.full_like(lead, np.inf), where=slope > 0)
    nearest: Array = reach.min(axis=1)
    return nearest


def broken_within(reply: Reply, name: str, epsilon: float, norm: str) -> Array:
    """Answers which candidates lie in the ball and change the class (n,)."""
    moved = reply.arrays[name].astype(np.float64)
    change = np.linalg.norm(moved - reply.arrays["inputs"], ord=ORDER[norm], axis=1)
    scores = moved @ reply.arrays["weights"].T.astype(np.float64) + reply.arrays["bias"]
    broken: Array = (scores.argmax(axis=1) != reply.arrays["labels"]) & (change <= epsilon + 1e-6)
    return broken


def must_fall(name: str, broken: Array) -> Control:
    """A planted control of points that lie within reach; all of them must be broken."""
    count, hits = len(broken), int(broken.sum())
    return Control(
        name=name,
        planted=True,
        found=count > 0 and hits == count,
        estimate=binomial(hits, count) if count else None,
        detail=f"{hits} of {count} points that the closed form gives up were broken",
    )


def must_stand(name: str, broken: Array) -> Control:
    """A clean control of points that lie out of reach; none of them may be broken."""
    count, hits = len(broken), int(broken.sum())
    return Control(
        name=name,
        planted=False,
        found=hits > 0,
        estimate=binomial(hits, count) if count else None,
        detail=f"{hits} of {count} points that no change can break were called broken",
    )
