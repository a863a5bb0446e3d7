"""``proofhouse catalog``: what exists."""

import yaml

from tasks.catalog.reading import KINDS, Catalog, catalog_root
from tasks.cli import EXIT_OK, EXIT_REFUSED, Answer
from tasks.domain.errors import CatalogError


def list_answer() -> Answer:
    """Lists the ids of every kind."""
    catalog = Catalog()
    document = {kind: list(catalog.ids(kind)) for kind in KINDS}
    told: list[str] = []
    for kind, ids in document.items():
        told += [f"{kind}:", *(f"  {entry}" for entry in ids)]
    return Answer(document, told)


def show_answer(entry_id: str) -> Answer:
    """Shows one entry, whichever kind it is."""
    catalog = Catalog()
    for kind, read in (
        ("checks", catalog.check),
        ("batteries", catalog.battery),
        ("policies", catalog.policy),
        ("questionnaires", catalog.questionnaire),
        ("tiers", catalog.tiers),
        ("rules", catalog.rule),
        ("documents", catalog.papers),
        ("playbooks", catalog.playbook),
        ("drills", catalog.drill),
        ("live_drills", catalog.live_drill),
    ):
        if entry_id in catalog.ids(kind):  # type: ignore[arg-type]  # the table's keys are kinds
            document = read(entry_id).model_dump(mode="json")
            text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
            return Answer(document, text.splitlines())
    raise CatalogError(f"no entry is called {entry_id!r}. See: proofhouse catalog list.")


def check_answer(*, write_schemas: bool) -> Answer:
    """Validates everything; with ``write_schemas`` renews the JSON Schemas first."""
    if write_schemas:
        from tasks.catalog.schemas import write  # noqa: PLC0415

        write(catalog_root() / "schemas")
    problems = Catalog().problems()
    told = problems or ["every entry is valid and every reference leads somewhere"]
    return Answer(
        {"ok": not problems, "problems": problems}, told, EXIT_REFUSED if problems else EXIT_OK
    )
