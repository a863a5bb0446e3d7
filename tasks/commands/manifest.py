"""``proofhouse manifest``: a signed manifest of a dataset's files and rows."""

import datetime as dt
from pathlib import Path

from pydantic import ValidationError

from tasks.cli import Answer
from tasks.commands.onboard import prepare_home
from tasks.domain.bundle import Subject
from tasks.domain.errors import InvalidInputError
from tasks.intake.bare_data import Named
from tasks.intake.croissant_card import croissant_card
from tasks.intake.dataset_manifest import Terms, decoded_rows, write_manifest
from tasks.settings import read_settings


def manifest_answer(
    data: Path,
    key: Path,
    *,
    out: Path,
    card: Path | None,
    said: dict[str, str | None],
    until: str | None,
) -> Answer:
    """Takes the data in, signs its files and rows, and says where the manifest lies.

    Args:
        data: A bundle, a data file, or a folder of data files.
        key: Private key in PEM.
        out: Where the manifest goes.
        card: Where a Croissant card of the same goes, if one is wanted.
        said: Terms, and names of inputs and labels of bare data.
        until: Date (YYYY-MM-DD) by which the data are to be deleted.
    """
    from tasks.reviewing import take_in_data  # noqa: PLC0415 - opens store and sandbox
    from tasks.runtime import services  # noqa: PLC0415

    for path, what in ((data, "data"), (key, "key")):
        if not path.exists():
            raise InvalidInputError(f"The {what} {path} does not exist. Correct the path.")
    try:
        terms = Terms(
            licence=said.get("licence") or "",
            consent=said.get("consent") or "",
            source=said.get("source") or "",
            retention_until=dt.date.fromisoformat(until) if until else None,
        )
    except (ValidationError, ValueError) as error:
        raise InvalidInputError(f"The terms cannot be used: {str(error)[:300]}") from None
    prepare_home(read_settings().home)
    digest = take_in_data(data, Named(inputs=said.get("inputs"), labels=said.get("labels")))
    store = services().store
    subject = Subject.parse(store.get(digest))
    rows = decoded_rows(subject, store.get)
    if not rows:
        problems = "; ".join(dataset.problem for dataset in subject.datasets)
        raise InvalidInputError(f"None of the data can be read, so no row is signed: {problems}")
    out.write_bytes(write_manifest(subject, rows, terms, key))
    if card is not None:
        card.write_bytes(croissant_card(subject, rows, terms))
    counts = {role: len(labels) for role, (_, labels) in rows.items()}
    told = ", ".join(f"{count} {role} rows" for role, count in counts.items())
    document = {"manifest": str(out), "rows": counts, "croissant": str(card) if card else None}
    return Answer(document, [f"{out} ({told})", *([str(card)] if card else [])])
