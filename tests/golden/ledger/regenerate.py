"""Writes a golden ledger of the present format: ``python -m tests.golden.ledger.regenerate v2``.

A golden that is there is never rewritten: ledgers of old releases must verify for ever, so a new
format gets a new folder beside the old ones.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

from tasks.ledger.keys import make_key, open_signer, rotate_key, set_standing, trusted_keys
from tasks.ledger.seal import seal_run
from tasks.ledger.trust import KeyStanding
from tasks.ledger.verify import verify_all
from tasks.ledger.witness import Witness
from tasks.store.local import LocalStore
from tests.tasks.ledger.evidence import make_case

ROOT = Path(__file__).parent


def regenerate(name: str) -> Path:
    """Seals five runs, with a key rotation after the third, into ``<name>/``."""
    home = ROOT / name
    home.mkdir()
    make_key(home)
    store = LocalStore(home / "store")
    for number in range(5):
        if number == 3:
            old = open_signer(None, home=home).public_key.keyid
            rotate_key(home)
            retired = datetime(2026, 1, 2, 12, tzinfo=UTC)
            set_standing(home, KeyStanding(keyid=old, not_after=retired, note="rotated"))
        case = make_case(store, number, sealed=f"2026-01-0{2 + number // 3}T03:05:0{number}Z")
        seal_run(
            case.record,
            store=store,
            signer=open_signer(None, home=home),
            files=case.files,
            trust=trusted_keys(home),
            witness=Witness(home),
        )
    whole = verify_all(store, trusted_keys(home), Witness(home))
    if not whole.ok:
        raise AssertionError(whole.problems)
    _forget_private(home)
    return home


def _forget_private(home: Path) -> None:
    for path in [*(home / "keys").glob("*.pem"), home / "keys" / "signing.pub"]:
        path.unlink()
    (home / "witness.lock").unlink()
    (home / "store" / "tmp").rmdir()


if __name__ == "__main__":
    if len(sys.argv) != 2 or (ROOT / sys.argv[1]).exists():
        sys.exit("name a folder that is not there yet, for example v2")
    regenerate(sys.argv[1])
