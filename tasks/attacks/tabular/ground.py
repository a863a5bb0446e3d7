"""Rows of a table under attack: what may change, and the best possible row found of each."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.evasion.random_search import margin_of
from tasks.attacks.tabular.repairing import repaired
from tasks.attacks.tabular.rules import Allowed, Rows, Rules
from tasks.domain.table import Table
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target


class Ground:
    """What every search for possible rows starts from, and what it ends with.

    Args:
        target: Victim; its passes are counted from here on.
        inputs: (n, columns) float32, possible rows, correctly classified.
        labels: (n,) true classes.
        table: ``Table`` as JSON values.
        epsilon: Largest change of a number, as a share of its column's range.
        categories: Most categories that may become another.
        seed: Equal seeds give equal outputs, whatever else is in the batch.
    """

    def __init__(
        self,
        target: Target,
        *,
        inputs: Images,
        labels: Labels,
        table: dict[str, Any],
        epsilon: float,
        categories: int = 1,
        seed: int = 0,
    ) -> None:
        self.target, self.labels, self.seed = target, labels, seed
        self.rules, self.allowed = Rules(Table.model_validate(table)), Allowed(epsilon, categories)
        self.clean: Rows = inputs.astype(np.float64)
        self.best = self.clean.copy()
        self.lead = np.full(len(labels), np.inf)
        self._spent = target.meter.forwards, target.meter.backwards

    def asked(self, rows: Rows, clean: Rows, labels: Labels) -> tuple[Rows, NDArray[np.float64]]:
        """Returns rows made possible and near ``clean``, and the lead of the true class there."""
        possible = repaired(rows, clean, self.rules, self.allowed)
        return possible, margin_of(self.target.scores(possible.astype(np.float32)), labels)

    def reply(self) -> Reply:
        """Returns what came of it.

        Arrays ``candidates`` (like the inputs: the witness, or the row of least lead) and ``found``
        (n,); values ``passes``, ``queries``. The caller measures feasibility, budget and success
        itself.
        """
        forwards = self.target.meter.forwards - self._spent[0]
        backwards = self.target.meter.backwards - self._spent[1]
        return Reply(
            {"candidates": self.best.astype(np.float32), "found": self.lead < 0},
            {"passes": forwards + backwards, "queries": forwards},
        )
