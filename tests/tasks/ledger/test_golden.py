"""Ledgers of every release so far still verify, and still notice tampering."""

import shutil
from pathlib import Path

import pytest

from tasks.ledger.keys import set_standing, trusted_keys
from tasks.ledger.seal import reconcile, sealed_run
from tasks.ledger.trust import KeyStanding
from tasks.ledger.verify import verify_all, verify_run
from tasks.ledger.witness import Witness
from tasks.store.local import LocalStore
from tests.tasks.ledger.evidence import new_signer, seal_case

GOLDEN = Path(__file__).parents[2] / "golden" / "ledger"
RELEASES = sorted(path.name for path in GOLDEN.iterdir() if path.name.startswith("v"))


@pytest.fixture(params=RELEASES)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN / request.param, tmp_path / "home"))


def test_there_is_a_golden() -> None:
    assert "v1" in RELEASES


def test_a_golden_verifies(home: Path) -> None:
    store, trust = LocalStore(home / "store"), trusted_keys(home)
    whole = verify_all(store, trust, Witness(home))
    assert (whole.ok, whole.problems, whole.notes, whole.garbage) == (True, (), (), ())
    assert whole.ledger_size == len(whole.runs) == 5
    for run in whole.runs:
        assert verify_run(run.run, store, trust, Witness(home)).ok
        found = sealed_run(store, run.run)
        assert found is not None
        assert found[0].run == run.run


def test_a_golden_can_be_continued(home: Path) -> None:
    store, signer = LocalStore(home / "store"), new_signer()
    _, sealed = seal_case(store, signer, 7)
    assert sealed.ledger_index == 5
    assert reconcile(store, signer) == ()


def test_every_damaged_file_of_a_golden_is_noticed(home: Path) -> None:
    store, trust = LocalStore(home / "store"), trusted_keys(home)
    paths = sorted(path for path in store.root.rglob("*") if path.is_file())
    for path in paths[::2]:  # the others are as these; random flips are in test_verify
        data = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert not verify_all(store, trust, Witness(home)).ok, path
        path.write_bytes(data)
    assert verify_all(store, trust, Witness(home)).ok


def test_revoking_a_golden_key_refuses_what_it_signed(home: Path) -> None:
    keyid = next(iter(trusted_keys(home).standings))
    set_standing(home, KeyStanding(keyid=keyid, revoked=True))
    whole = verify_all(LocalStore(home / "store"), trusted_keys(home), Witness(home))
    assert sum(run.ok for run in whole.runs) < 5
    assert any("revoked" in problem for problem in whole.problems)
