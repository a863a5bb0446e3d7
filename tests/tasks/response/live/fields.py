"""A small battle without gateway or models, for tests of what is made of it."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np

from tasks.catalog.reading import Catalog
from tasks.domain.incident import Incident
from tasks.response.live.asking import Said
from tasks.response.live.battle import Battle, Sighting
from tasks.response.live.record import Record, Shot
from tasks.sandbox.protocol import Array

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class FakeLine:
    """An account whose answers are laid down: True answers, a text refuses."""

    def __init__(self, account: str, script: Sequence[bool | str]) -> None:
        self.account, self._script, self.asked = account, list(script), 0

    def ask(self, inputs: Array) -> Said:
        word = self._script[min(self.asked, len(self._script) - 1)]
        self.asked += 1
        if word is True:
            count = len(inputs)
            labels = inputs.reshape(count, -1).argmax(axis=1)[:, None] % 3
            return Said(200, labels=labels, probabilities=np.full((count, 1), 0.9))
        return Said(429 if word == "rate" else 401, str(word))


def sighting(seconds: float, *accounts: str, by: str = "coverage_growth@25") -> Sighting:
    at = NOW + timedelta(seconds=seconds)
    told = Incident(
        schema_="proofhouse.incident/1", title="an alarm", detected=at, accounts=accounts
    )
    return Sighting(by, at, told)


def battle(name: str = "extraction_by_three_accounts", **changed: Any) -> Battle:
    record = Record()
    record.began = NOW
    made = Battle(
        entry=Catalog().live_drill(name), ground=SimpleNamespace(),  # type: ignore[arg-type]
        record=record, port=0, faster=1,
    )  # fmt: skip
    return dataclasses.replace(made, **changed)


def shots(account: str, answered: Sequence[float], refused: Sequence[float] = ()) -> list[Shot]:
    made = [Shot(at, account, 1, answered=True) for at in answered]
    made += [Shot(at, account, 1, answered=False, reason="key") for at in refused]
    return sorted(made)
