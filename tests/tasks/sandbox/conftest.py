from pathlib import Path

import pytest

from tasks.domain.errors import SandboxError
from tasks.sandbox.opening import ProvedSandbox, open_sandbox
from tasks.sandbox.protocol import Level


@pytest.fixture(params=[Level.L3, Level.L2])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> ProvedSandbox:
    try:
        return open_sandbox(required=request.param, prefer=request.param, scratch_root=tmp_path)
    except SandboxError as error:
        pytest.skip(f"this machine proves no {request.param}: {error}")
