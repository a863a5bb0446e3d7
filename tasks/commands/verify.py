"""``proofhouse verify``: evidence, checked again without any server."""

from tasks.cli import EXIT_OK, EXIT_REFUSED, Answer
from tasks.domain.errors import InvalidInputError


def verify_answer(run: str | None) -> Answer:
    """Verifies one run, or all of them when ``run`` is None."""
    from tasks.ledger.keys import trusted_keys  # noqa: PLC0415
    from tasks.ledger.verify import verify_all, verify_run  # noqa: PLC0415
    from tasks.ledger.witness import Witness  # noqa: PLC0415
    from tasks.settings import read_settings  # noqa: PLC0415
    from tasks.store.opening import open_store  # noqa: PLC0415

    settings = read_settings()
    home = settings.home.resolve()
    store = open_store(settings.store_url, home=home)
    trust, witness = trusted_keys(home), Witness(home)
    if run is None:
        whole = verify_all(store, trust, witness)
        document = whole.model_dump(mode="json")
    else:
        if store.claimed(f"runs/{run}") is None:
            raise InvalidInputError(f"no sealed run is called {run!r}. List: inventory runs.")
        one = verify_run(run, store, trust, witness)
        document = {"ok": one.ok, "runs": [one.model_dump(mode="json")]}
    told = [
        f"{'ok      ' if entry['ok'] else 'DAMAGED '} {entry['run']}"
        + "".join(f"\n    - {problem}" for problem in entry["problems"])
        for entry in document["runs"]
    ]
    told += [f"ledger: {problem}" for problem in document.get("problems", [])]
    told += [f"note: {note}" for note in document.get("notes", [])]
    if garbage := document.get("garbage"):
        told.append(f"{len(garbage)} objects belong to no sealed run (interrupted or under way)")
    told.append(f"{len(document['runs'])} runs: {'all verify' if document['ok'] else 'NOT OK'}")
    return Answer(document, told, EXIT_OK if document["ok"] else EXIT_REFUSED)
