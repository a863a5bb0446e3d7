"""The command opens what is registered and signed, and nothing else."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from tasks.commands.gateway import Serving, opened
from tasks.domain.finding import Verdict
from tasks.registry.registering import Why, register
from tasks.registry.signing import UnsignedModelError
from tests.tasks.registry.homes import new_home

ASSET = "Acme/reader@1"
ASKED = Serving(ASSET, None, "127.0.0.1", 0, None, None, None)


def test_a_registered_model_is_opened_and_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = new_home(tmp_path)
    monkeypatch.setenv("PROOFHOUSE_HOME", str(home.path))
    run = home.seal().run
    with pytest.raises(UnsignedModelError):
        opened(ASKED)
    register(run, home.registry, Why(reason="test", by="test"))
    parts, told = opened(ASKED)
    try:
        scores = parts.routes.champion.copies[0](np.eye(3, 4, dtype=np.float32))
        assert scores.argmax(axis=1).tolist() == [0, 1, 2]
        assert any(ASSET in line for line in told)
    finally:
        parts.recorder.start()
        asyncio.run(parts.close())


def test_a_model_that_is_refused_later_is_not_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = new_home(tmp_path)
    monkeypatch.setenv("PROOFHOUSE_HOME", str(home.path))
    run = home.seal().run
    register(run, home.registry, Why(reason="test", by="test"))
    home.seal(verdict=Verdict.REFUSED, occasion="nightly")
    with pytest.raises(UnsignedModelError):
        opened(ASKED)
