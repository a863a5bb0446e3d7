from pathlib import Path

import pytest

from tasks.sandbox.opening import ProvedSandbox
from tasks.sandbox.protocol import Level
from tests.tasks.sandbox.machine import sandbox_of


@pytest.fixture(params=[Level.L3, Level.L2])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> ProvedSandbox:
    return sandbox_of(request.param, tmp_path)
