"""JSON Schemas for people who write entries with other tools; the Python schema is the source."""

import json
from pathlib import Path

from tasks.catalog.reading import KINDS


def rendered() -> dict[str, str]:
    """Returns file name to text, for every kind of entry."""
    return {
        f"{kind}.schema.json": json.dumps(model.model_json_schema(), indent=2, sort_keys=True)
        + "\n"
        for kind, model in KINDS.items()
    }


def write(folder: Path) -> None:
    """Writes every schema into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in rendered().items():
        (folder / name).write_text(text, encoding="utf-8")
