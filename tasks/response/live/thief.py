"""An attacker's side of the gateway: a target that answers what the gateway lets out.

Attacks of the library run on it as on any other target. It deals their questions to accounts,
keeps the story's pace, and gives up when every account has been turned away again and again.
"""

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

from tasks.domain.bundle import ModelSpec
from tasks.domain.errors import GatewayUnavailableError
from tasks.response.live.asking import Line, Said
from tasks.response.live.record import Record
from tasks.sandbox.protocol import Array
from tasks.targets.protocol import Access, Images, Meter, Scores

AT_ONCE = 1
"""Items in one request: a throttled account may ask about few at once."""
PATIENCE = 20
"""Refusals in a row after which an account is given up."""
LEAST = 1e-6
"""What a probability that is not shown is taken for, at least; its logarithm stays finite."""


class BarredError(Exception):
    """Every account was turned away: the attack is over."""


class StolenTarget:
    """Asks through accounts in turn.

    Args:
        spec: What the gateway says of the model: shape, range, classes.
        lines: One for each account of the attacker.
        record: Where every request is written down.
        per_second: Questions of all accounts together, on the real clock.
        budget: Most questions.
        stop: Ends the attack from outside, as if all accounts were barred.
    """

    access = Access.SCORES
    module: nn.Module | None = None

    def __init__(
        self, spec: ModelSpec, lines: Sequence[Line], record: Record, *,
        per_second: float, budget: int, stop: threading.Event,
    ) -> None:  # fmt: skip
        assert spec.input is not None, "served models describe their input"
        assert spec.output is not None, "and their output"
        assert spec.output.classes is not None, "which has classes"
        self.input_shape, self.bounds = spec.input.shape, spec.input.range
        self.classes, self.meter = spec.output.classes, Meter()
        self.asked: list[Array] = []
        self.learnt: list[Array] = []
        """(items, classes) beliefs, in the order of ``asked``."""
        self._record, self._pause, self._left = record, AT_ONCE / per_second, budget
        self._lines = list(lines)
        self._refused = {line.account: 0 for line in lines}
        self._turn, self._due, self._stop = 0, time.monotonic(), stop

    def scores(self, inputs: Images) -> Scores:
        """Returns logarithms of what the answers let one believe.

        Raises:
            BarredError: No account is answered any more, or the budget is spent.
        """
        parts = [inputs[start : start + AT_ONCE] for start in range(0, len(inputs), AT_ONCE)]
        told = [self._answer(np.ascontiguousarray(part, np.float32)) for part in parts]
        beliefs = np.concatenate(told) if told else np.zeros((0, self.classes), np.float32)
        scores: Scores = np.log(np.maximum(beliefs, LEAST)).astype(np.float32)
        return scores

    def describe(self) -> dict[str, Any]:
        """Says what it is."""
        return {"kind": "a gateway", "access": self.access.value}

    @property
    def leaked(self) -> tuple[Array, Array]:
        """Everything that was answered: inputs (n, …) and beliefs (n, classes)."""
        if not self.asked:
            return np.zeros((0, *self.input_shape), np.float32), np.zeros((0, self.classes))
        return np.concatenate(self.asked), np.concatenate(self.learnt)

    def _answer(self, inputs: Array) -> Array:
        """Asks until some account is answered."""
        while True:
            if self._stop.is_set() or not self._lines or self._left <= 0:
                raise BarredError
            line = self._lines[self._turn % len(self._lines)]
            self._turn += 1
            self._keep_pace()
            said = self._asked(line, inputs)
            if said.answered:
                self._left -= len(inputs)
                self.meter.forwards += len(inputs)
                beliefs = said.beliefs(self.classes)
                self.asked.append(inputs)
                self.learnt.append(beliefs)
                return beliefs

    def _asked(self, line: Line, inputs: Array) -> Said:
        try:
            said = line.ask(inputs)
        except GatewayUnavailableError:
            said = Said(503, "no gateway")
        reason = None if said.answered else said.reason or str(said.status)
        self._record.shot("attack", line.account, len(inputs), reason)
        self._refused[line.account] = 0 if said.answered else self._refused[line.account] + 1
        if self._refused[line.account] >= PATIENCE:
            self._lines.remove(line)
            self._record.tell("attack", f"{line.account} gives up: refused ({said.reason})")
        return said

    def _keep_pace(self) -> None:
        self._due = max(self._due, time.monotonic() - 1) + self._pause
        self._stop.wait(max(0.0, self._due - time.monotonic()))
