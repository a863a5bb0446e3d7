"""``proofhouse playbooks``: what there is to follow, and the way to and from other tools."""

import json
from datetime import UTC, datetime
from pathlib import Path

import yaml

from tasks.answering import Answer
from tasks.catalog.reading import Catalog
from tasks.domain.errors import InvalidInputError
from tasks.response.cacao import read_cacao, write_cacao

MOST_BYTES = 8 << 20


def list_answer() -> Answer:
    """Lists the playbooks of the catalog."""
    catalog = Catalog()
    found = [catalog.playbook(name) for name in catalog.ids("playbooks")]
    rows = [
        {"playbook": one.id, "title": one.title, "severity": one.severity.value,
         "steps": len(one.steps), "clocks": list(one.clocks)}
        for one in found
    ]  # fmt: skip
    lines = [
        f"{row['playbook']}  {row['severity']}, {row['steps']} steps  {row['title']}"
        for row in rows
    ]
    return Answer({"playbooks": rows}, lines)


def export_answer(name: str, out: Path | None) -> Answer:
    """Tells a playbook as CACAO 2.0; into a file when one is named."""
    document = write_cacao(Catalog().playbook(name), created=datetime.now(UTC))
    text = json.dumps(document, indent=2)
    if out is None:
        return Answer(document, [text])
    out.write_text(text + "\n", encoding="utf-8")
    return Answer({"file": str(out), "id": document["id"]}, [f"{out}: {document['id']}"])


def import_answer(file: Path) -> Answer:
    """Reads a CACAO document that was exported here back into a catalog entry, as YAML."""
    if not file.is_file() or file.stat().st_size > MOST_BYTES:
        raise InvalidInputError(f"{file} is no file of at most {MOST_BYTES} bytes.")
    try:
        document = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{file} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidInputError(f"{file} holds no CACAO playbook.")
    entry = read_cacao(document, place=str(file)).model_dump(mode="json", exclude_none=True)
    return Answer(entry, [yaml.safe_dump(entry, sort_keys=False, allow_unicode=True)])
