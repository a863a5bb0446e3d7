"""How many pictures keep their class when they are turned and shifted a little.

Source: Engstrom et al. 2019, arXiv 1712.02779: worst pose of a grid, then ascent from the worst
poses. Pictures are turned here, on the trusted side; the child only proposes poses and answers.
"""

import numpy as np

from tasks.attacks.corruptions.picture import Layout
from tasks.attacks.evasion.turning import poses_on_grid, turned
from tasks.checks.evasion.cascade import answers
from tasks.checks.evasion.corruptions import pictures_of
from tasks.checks.evasion.doubts import about_answers
from tasks.checks.evasion.referee import (
    Flags,
    Population,
    about_escapes,
    judged,
    population,
)
from tasks.checks.evasion.witnesses import kept_witnesses
from tasks.checks.lab import Lab
from tasks.domain.measurement import Control, Measurement, Status
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import binomial

CHECK, VERSION = "evasion.spatial", 1
SHIFTS = 3
CLIMBS = 2
"""Worst poses per picture from which the ascent starts."""
STEPS = 20


def measure(lab: Lab) -> Measurement:
    """Tries every pose of a grid, then climbs from the worst where there are gradients."""
    layout = pictures_of(lab)
    people = population(lab, points=lab.count("points"), access="labels")
    search = _Search(lab, people, layout)
    search.over_grid()
    by_grid = int((people.correct & ~search.standing).sum())
    if people.access == "gradients":
        search.climb()
    robust = binomial(int(search.standing.sum()), len(people.labels))
    fallen: Flags = people.correct & ~search.standing
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=(
            f"{int(people.correct.sum())} of {len(people.labels)} pictures are read correctly, "
            f"{int(search.standing.sum())} in every pose that was tried, within "
            f"{lab.number('degrees'):.4g} degrees and {lab.number('shift'):.4g} of the side."
        ),
        estimates={
            "robust_accuracy": robust,
            "clean_accuracy": binomial(int(people.correct.sum()), len(people.labels)),
        },
        controls=_controls(layout),
        alarms=tuple(about_answers(people.described) + about_escapes(search.escaped)),
        limits=tuple(str(note) for note in people.described.get("notes", ())),
        method=(
            "Worst pose of a grid per picture, then sign ascent on the pose from the worst ones; "
            "pictures are turned outside the child, bilinear, edges repeated."
        ),
        facts={
            "points": len(people.labels),
            "correct": int(people.correct.sum()),
            "standing": int(search.standing.sum()),
            "poses": len(search.poses),
            "fell_to_grid": by_grid,
            "fell_to_ascent": int(fallen.sum()) - by_grid,
        },
        artifacts=kept_witnesses(lab, people, fallen, search.witnesses),
        cost=lab.cost,
    )


class _Search:
    def __init__(self, lab: Lab, people: Population, layout: Layout) -> None:
        self.lab, self.people, self.layout = lab, people, layout
        self.standing, self.witnesses = people.correct.copy(), people.inputs.copy()
        self.escaped = 0
        self.poses = poses_on_grid(
            lab.number("degrees"), lab.number("shift"), angles=lab.count("angles"), shifts=SHIFTS
        )
        self.leads = np.full((len(people.labels), len(self.poses)), np.inf)

    def over_grid(self) -> None:
        """Asks about every pose; pictures that fell are not asked again."""
        for column, pose in enumerate(self.poses):
            rows = np.flatnonzero(self.standing)
            if not len(rows):
                return
            moved = turned(self.people.inputs[rows], self.layout, np.tile(pose, (len(rows), 1)))
            scores = answers(self.lab, moved).astype(np.float64)
            own = scores[np.arange(len(rows)), self.people.labels[rows]].copy()
            scores[np.arange(len(rows)), self.people.labels[rows]] = -np.inf
            self.leads[rows, column] = own - scores.max(axis=1)
            # Below zero by scores is a claim like any other: it is judged with all the rest.
            self._judge(rows[self.leads[rows, column] < 0], moved[self.leads[rows, column] < 0])

    def climb(self) -> None:
        """Lets the child improve the worst poses of what still stands."""
        worst = np.argsort(self.leads, axis=1, kind="stable")
        for rank in range(min(CLIMBS, len(self.poses))):
            rows = np.flatnonzero(self.standing)
            if not len(rows):
                return
            reply = self.lab.run(
                "attacks.evasion.spatial",
                {
                    "inputs": self.people.inputs[rows],
                    "labels": self.people.labels[rows],
                    "poses": self.poses[worst[rows, rank]],
                },
                degrees=self.lab.number("degrees"),
                shift=self.lab.number("shift"),
                steps=STEPS,
            )
            poses = self._allowed(reply.arrays["poses"], len(rows))
            self._judge(rows, turned(self.people.inputs[rows], self.layout, poses))

    def _allowed(self, poses: Array, count: int) -> Array:
        """Returns claimed poses cut to what is allowed; nonsense becomes no pose at all."""
        if poses.shape != (count, 3):
            self.escaped += count
            return np.zeros((count, 3))
        most = np.abs(self.poses).max(axis=0)
        allowed: Array = np.clip(np.nan_to_num(poses.astype(np.float64)), -most, most)
        return allowed

    def _judge(self, rows: Array, moved: Array) -> None:
        if not len(rows):
            return
        result = judged(self.lab, self.people, rows, moved)
        self.escaped += result.escaped
        fallen = rows[result.held]
        self.standing[fallen] = False
        self.witnesses[fallen] = result.moved[result.held]


def _controls(layout: Layout) -> tuple[Control, ...]:
    """A picture with one bright quarter: turned by 90 degrees it is another, by none the same."""
    height, width = layout.sides
    channels = int(np.prod(layout.shape)) // (height * width)
    picture = np.zeros((channels, height, width))
    picture[:, : height // 2, : width // 2] = 1
    item = layout.item(picture)[None]
    quarter, still = (turned(item, layout, np.array([[angle, 0, 0]])) for angle in (90.0, 0.0))
    moved = float(layout.picture(quarter[0])[:, height // 2 :, : width // 2].mean())
    return (
        Control(
            name="bright quarter, turned by 90 degrees",
            planted=True,
            found=moved > 0.5,
            detail=f"{moved:.0%} of the light is in the next quarter",
        ),
        Control(
            name="bright quarter, not turned",
            planted=False,
            found=not np.allclose(still, item, atol=1e-4 * (layout.high - layout.low)),
            detail="no pose leaves the picture as it is",
        ),
    )
