"""``proofhouse quarantine``: the poisoned rows of a sealed run, cut out and signed for."""

import json
from pathlib import Path

from tasks.cli import Answer
from tasks.domain.errors import InvalidInputError


def quarantine_answer(run: str, out: Path) -> Answer:
    """Cuts out the rows, signs what was done, and says where to fall back to."""
    from tasks.inventory.database import Inventory  # noqa: PLC0415 - slow; only who works pays
    from tasks.ledger.envelope import read_envelope  # noqa: PLC0415
    from tasks.ledger.keys import open_signer, trusted_keys  # noqa: PLC0415
    from tasks.ledger.seal import sealed_run  # noqa: PLC0415
    from tasks.ledger.statement import PAYLOAD_TYPE  # noqa: PLC0415
    from tasks.ledger.verify import verify_run  # noqa: PLC0415
    from tasks.ledger.witness import Witness  # noqa: PLC0415
    from tasks.response import quarantining  # noqa: PLC0415
    from tasks.settings import read_settings  # noqa: PLC0415
    from tasks.store.opening import open_store  # noqa: PLC0415

    settings = read_settings()
    home = settings.home.resolve()
    store = open_store(settings.store_url, home=home)
    found = sealed_run(store, run)
    if found is None:
        raise InvalidInputError(f"no sealed run is called {run!r}. List: inventory runs.")
    record = found[0]
    checked = verify_run(run, store, trusted_keys(home), Witness(home))
    if not checked.ok:
        raise InvalidInputError(f"{run} does not verify: {'; '.join(checked.problems)}")
    cut = quarantining.quarantine(record, store)
    rollback = quarantining.rollback_to(record, Inventory(settings.database_url).runs())
    signer = open_signer(settings.signer or None, home=home)
    kept = quarantining.keep(record, cut, store, signer=signer, rollback=rollback)
    envelope = store.get(kept)
    opened = read_envelope(envelope, payload_type=PAYLOAD_TYPE, place=kept)
    told = {**json.loads(opened.payload)["predicate"], "envelope": kept}
    files = quarantining.lay_out(cut, envelope, told, out)
    lines = [
        f"{len(cut.rows)} rows of {record.asset} are out, {len(cut.clean['labels'])} stay",
        f"signed as {kept}",
        f"fall back to {rollback}" if rollback else "no accepted version to fall back to",
        *(str(file) for file in files),
    ]
    return Answer({**told, "files": [str(file) for file in files]}, lines)
