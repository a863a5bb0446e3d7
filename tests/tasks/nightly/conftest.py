"""One house per test: every module that asks for services gets these."""

from pathlib import Path

import pytest

from tasks import approving, onboarding
from tasks.ledger import stage as ledger_stage
from tasks.ledger.keys import make_key
from tasks.nightly import stage
from tasks.reports import stage as reports_stage
from tasks.runtime import Services
from tasks.sandbox.protocol import Limits
from tasks.settings import Settings
from tasks.store.local import LocalStore
from tests.simulators.sandbox import DirectSandbox
from tests.tasks.nightly.nights import House


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setenv("PROOFHOUSE_HOME", str(tmp_path))
    make_key(tmp_path)
    here = Services(
        Settings(home=tmp_path), LocalStore(tmp_path / "store"), DirectSandbox(), Limits()
    )
    for module in (approving, onboarding, stage, ledger_stage, reports_stage):
        monkeypatch.setattr(module, "services", lambda: here)
    return House(here)
