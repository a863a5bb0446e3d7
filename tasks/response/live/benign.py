"""Honest callers who work all through a drill: whoever stops the thief must not stop them."""

import threading
from collections.abc import Sequence
from typing import Self

import numpy as np

from tasks.detectors.telemetry.traffic import Pool, bursty_gaps, honest_client
from tasks.domain.errors import GatewayUnavailableError
from tasks.response.live.asking import Line
from tasks.response.live.record import Record

WAIT_SECONDS = 0.05


class BenignTraffic:
    """Asks natural questions from one thread, account by account in turn.

    Args:
        lines: One for each honest account.
        pool: What they ask about.
        record: Where every request is written down.
        per_second: Requests of all of them together, on the real clock.
        seed: Of their questions.
    """

    def __init__(
        self, lines: Sequence[Line], pool: Pool, record: Record, *, per_second: float, seed: int
    ) -> None:
        self._lines, self._record, self._pause = lines, record, 1 / per_second
        gaps = bursty_gaps(seed)
        self._questions = [
            honest_client(pool, gaps, seed + place, kind="plain").inputs
            for place in range(len(lines))
        ]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="drill-benign", daemon=True)
        self._rng = np.random.default_rng(seed)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=60)

    def _ask(self) -> None:
        turn = 0
        while not self._stop.wait(float(self._rng.exponential(self._pause))):
            place, round_ = turn % len(self._lines), turn // len(self._lines)
            line, questions = self._lines[place], self._questions[place]
            asked = questions[round_ % len(questions)][None]
            try:
                said = line.ask(asked)
                reason = None if said.answered else said.reason or str(said.status)
            except GatewayUnavailableError:
                reason = "no gateway"
            self._record.shot("benign", line.account, 1, reason)
            turn += 1
