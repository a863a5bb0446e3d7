"""CACAO 2.0 out and in: valid, sound, and the same playbook again."""

import copy
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tasks.catalog.reading import Catalog
from tasks.domain.errors import InvalidInputError
from tasks.response.cacao import read_cacao, write_cacao
from tasks.response.cacao_graph import graph_problems

CATALOG = Catalog()
MOMENT = datetime(2026, 11, 2, tzinfo=UTC)
PLAYBOOKS = CATALOG.ids("playbooks")
REFERENCE = os.environ.get("PROOFHOUSE_TEST_REFERENCE", "")
Document = dict[str, Any]


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_every_playbook_survives_the_round_trip(name: str) -> None:
    entry = CATALOG.playbook(name)
    document = write_cacao(entry, created=MOMENT)
    assert graph_problems(document) == []
    assert read_cacao(json.loads(json.dumps(document)), place=name) == entry
    assert write_cacao(entry, created=MOMENT) == document


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_every_playbook_fits_the_published_schema(name: str) -> None:
    folder = Path(REFERENCE) / "cacao" / "schemas"
    if not REFERENCE or not folder.is_dir():
        pytest.skip("PROOFHOUSE_TEST_REFERENCE names no folder with the CACAO schemas")
    from jsonschema import (  # type: ignore[import-untyped]  # noqa: PLC0415 - ships no types
        Draft202012Validator,
    )
    from referencing import Registry, Resource  # noqa: PLC0415

    schemas = [json.loads(path.read_text()) for path in folder.rglob("*.json")]
    registry: Any = Registry().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in schemas
    )
    main = json.loads((folder / "playbook.json").read_text())
    document = write_cacao(CATALOG.playbook(name), created=MOMENT)
    faults = list(Draft202012Validator(main, registry=registry).iter_errors(document))
    assert [fault.message[:200] for fault in faults] == []


def _steps(document: Document, kind: str) -> list[str]:
    return [name for name, step in document["workflow"].items() if step["type"] == kind]


def cut(document: Document) -> None:
    del document["workflow"][_steps(document, "action")[-1]]


def no_start(document: Document) -> None:
    document["workflow_start"] = _steps(document, "action")[0]


def stranger(document: Document) -> None:
    document["workflow"][_steps(document, "action")[0]]["agent"] = "group--nobody"


def stray(document: Document) -> None:
    document["workflow"]["action--stray"] = {"type": "action", "on_completion": "end--x"}
    document["workflow"]["end--x"] = {"type": "end"}


def circle(document: Document) -> None:
    first, second = _steps(document, "action")[:2]
    document["workflow"][second]["on_completion"] = first


def dead_end(document: Document) -> None:
    del document["workflow"][_steps(document, "action")[0]]["on_completion"]


def no_extension(document: Document) -> None:
    document["extension_definitions"] = {}


def no_table(document: Document) -> None:
    document["workflow"] = ["steps"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (cut, "which is not there"),
        (no_start, "no start step"),
        (stranger, "no agent is called"),
        (stray, "nothing leads to action--stray"),
        (circle, "go round in a circle"),
        (dead_end, "leads nowhere"),
        (no_extension, "no extension is called"),
        (no_table, "no table of steps"),
    ],
)
def test_a_graph_that_does_not_hang_together_is_refused(
    spoil: Callable[[Document], None], words: str
) -> None:
    document = copy.deepcopy(write_cacao(CATALOG.playbook(PLAYBOOKS[0]), created=MOMENT))
    spoil(document)
    with pytest.raises(InvalidInputError, match="no sound CACAO playbook"):
        read_cacao(document, place="spoilt")
    assert any(words in problem for problem in graph_problems(document))


def test_a_foreign_playbook_is_not_run_from_here() -> None:
    document = write_cacao(CATALOG.playbook(PLAYBOOKS[0]), created=MOMENT)
    del document["playbook_extensions"]
    with pytest.raises(InvalidInputError, match="was not written by Proofhouse"):
        read_cacao(document, place="foreign")
