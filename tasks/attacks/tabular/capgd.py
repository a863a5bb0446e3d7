"""Constrained adaptive gradient attack on rows of a table (CAPGD).

Source: Simonetto et al. 2024, arXiv 2406.00775, algorithm 1: ascent with momentum and its own step
control, every row repaired before it counts. Ours keeps a relaxed row for the gradient, so that
steps smaller than a whole number add up.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.attacks.evasion.keyed import generator_for
from tasks.attacks.tabular.ground import Ground
from tasks.attacks.tabular.rules import Rows
from tasks.domain.errors import TargetError
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Target

MOMENTUM = 0.75
PATIENCE = 3
"""Steps without a lower lead after which a row's stride is halved and it goes back to its best."""


def capgd(target: Target, *, steps: int = 20, restarts: int = 2, **rows: Any) -> Reply:
    """Searches possible rows near each row that the target labels otherwise.

    Args:
        target: Victim that reveals gradients.
        steps: Steps per row and start; each costs two forwards and one backward.
        restarts: Starts: the clean row first, then random ones.
        rows: What :class:`Ground` takes.

    Returns:
        See :meth:`Ground.reply`.

    Raises:
        TargetError: The target reveals no gradients.
    """
    if target.module is None:
        raise TargetError("this attack needs gradients, the target reveals only scores")
    ascent = _Ascent(target, **rows)
    for restart in range(restarts if len(ascent.labels) else 0):
        ascent.run(steps, restart)
    return ascent.reply()


class _Ascent(Ground):
    def __init__(self, target: Target, **rows: Any) -> None:
        super().__init__(target, **rows)
        share = np.where(self.rules.number, self.allowed.epsilon, 1.0)
        self.reach = np.where(self.rules.mutable, share * self.rules.width, 0.0)

    def run(self, steps: int, restart: int) -> None:
        rows = np.flatnonzero(self.lead >= 0)
        now = self._start(rows, restart)
        before, anchor = now.copy(), now.copy()
        least = np.full(len(rows), np.inf)
        stride, waited = np.ones(len(rows)), np.zeros(len(rows), np.int64)
        for step in range(steps):
            lead = self._note(rows, now)
            better = lead < least - 1e-9
            anchor[better], least = now[better], np.minimum(least, lead)
            waited = np.where(better, 0, waited + 1)
            going = self.lead[rows] >= 0
            if not going.any():
                return
            stuck = waited >= PATIENCE
            now[stuck], stride[stuck], waited[stuck] = anchor[stuck], stride[stuck] / 2, 0
            rows, now, before, anchor = rows[going], now[going], before[going], anchor[going]
            least, stride, waited = least[going], stride[going], waited[going]
            weight = 1.0 if step == 0 else MOMENTUM
            stepped = self._inside(
                rows, now - stride[:, None] * self.reach * self._signs(rows, now)
            )
            carried = (1 - weight) * (now - before)
            now, before = self._inside(rows, now + weight * (stepped - now) + carried), now
        self._note(rows, now)

    def _start(self, rows: NDArray[np.int64], restart: int) -> Rows:
        if restart == 0:
            return self.clean[rows].copy()
        drawn = [
            generator_for(
                self.clean[row].astype(np.float32), seed=self.seed, purpose=f"rows/{restart}"
            ).uniform(-1, 1, self.clean.shape[1])
            for row in rows
        ]
        noise = np.stack(drawn) if drawn else np.zeros((0, self.clean.shape[1]))
        return self._inside(rows, self.clean[rows] + self.reach * noise)

    def _inside(self, rows: NDArray[np.int64], moved: Rows) -> Rows:
        """Keeps relaxed rows within budget and range, and lets dependent columns follow."""
        clean = self.clean[rows]
        near = np.clip(moved, clean - self.reach, clean + self.reach)
        inside = np.clip(near, self.rules.low, self.rules.high)
        return np.where(self.rules.mutable, self.rules.follow(inside), clean)

    def _note(self, rows: NDArray[np.int64], now: Rows) -> NDArray[np.float64]:
        tried, lead = self.asked(now, self.clean[rows], self.labels[rows])
        better = lead < self.lead[rows]
        self.best[rows[better]] = tried[better]
        self.lead[rows[better]] = lead[better]
        return lead

    def _signs(self, rows: NDArray[np.int64], now: Rows) -> Rows:
        """Returns the sign of the slope of the lead in the columns that can be chosen."""
        assert self.target.module is not None
        labels = torch.from_numpy(self.labels[rows].astype(np.int64))
        with torch.enable_grad():
            relaxed = torch.from_numpy(now.astype(np.float32)).requires_grad_()
            scores = self.target.module(relaxed)
            others = scores.scatter(1, labels[:, None], -torch.inf)
            lead = scores.gather(1, labels[:, None]).squeeze(1) - others.amax(dim=1)
            (slope,) = torch.autograd.grad(lead.sum(), relaxed)
        free = self.rules.pulled_back(now, slope.numpy().astype(np.float64))
        signs: Rows = np.sign(free)
        return signs
