"""``proofhouse report``: a sealed run, as a file people and programs can read."""

import json
from pathlib import Path

from tasks.cli import Answer
from tasks.domain.digest import Digest
from tasks.domain.errors import InvalidInputError
from tasks.domain.run import RunRecord

FORMATS = ("html", "json", "cyclonedx")


def report_answer(run: str, format_: str, out: Path | None) -> Answer:
    """Writes the report of a run; JSON formats go to stdout unless ``out`` is given."""
    from tasks.ledger.seal import sealed_run  # noqa: PLC0415
    from tasks.reports.json import summary  # noqa: PLC0415
    from tasks.settings import read_settings  # noqa: PLC0415
    from tasks.store.opening import open_store  # noqa: PLC0415

    if format_ not in FORMATS:
        raise InvalidInputError(f"format {format_!r} is unknown. Choose {' or '.join(FORMATS)}.")
    settings = read_settings()
    home = settings.home.resolve()
    store = open_store(settings.store_url, home=home)
    found = sealed_run(store, run)
    if found is None:
        raise InvalidInputError(f"no sealed run is called {run!r}. List: inventory runs.")
    record, sealed = found
    html = out if out and format_ == "html" else home / "reports" / f"{run}.html"
    document = summary(record, sealed, str(html))
    if format_ == "json":
        text = json.dumps(document, indent=2)
        if out is None:
            return Answer(document, [text])
        out.write_text(text + "\n", encoding="utf-8")
        return Answer(document, [str(out)])
    if format_ == "cyclonedx":
        return _bom(store.get(_object(record, "bom")), out)
    digest = _object(record, "report")
    html.parent.mkdir(parents=True, exist_ok=True)
    html.write_bytes(store.get(digest))
    return Answer(document, [str(html)])


def _bom(data: bytes, out: Path | None) -> Answer:
    document = json.loads(data)
    if out is None:
        return Answer(document, [data.decode().rstrip()])
    out.write_bytes(data)
    return Answer(document, [str(out)])


def _object(record: RunRecord, role: str) -> Digest:
    found = next((entry.digest for entry in record.objects if entry.role == role), None)
    if found is None:
        raise InvalidInputError(
            f"{record.run} was sealed without a {role}: an earlier release made it. Onboard the "
            "bundle again to get one."
        )
    return found
