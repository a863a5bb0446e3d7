"""A small drill of five questions, as a catalog that a flow reads."""

from pathlib import Path

import yaml

from tasks.catalog.drills import DrillEntry
from tests.tasks.response.cases import PLAYBOOK

DRILL = DrillEntry.model_validate(
    {
        "id": "tabletop.small",
        "version": 1,
        "title": "A small drill",
        "scenario": "A *trigger* was found in the reader.",
        "playbook": "incident.small",
        "roles": {"lead": "Incident lead", "legal": "Legal and compliance"},
        "minutes": 60,
        "injects": [
            {"id": "alarm", "at_minutes": 0, "to": ["lead"], "text": "A monitor raises its voice."},
            {"id": "spread", "at_minutes": 10, "to": ["lead"], "text": "It is in use <b>here</b>."},
            {"id": "calls", "at_minutes": 20, "to": ["lead", "legal"], "text": "The press calls."},
        ],
        "decisions": [
            {"id": "declare_it", "after": "alarm", "role": "lead", "kind": "yes_no",
             "question": "Do you declare an incident?", "within_minutes": 5,
             "milestone": "declare", "step": "declare", "lesson": "Say when to declare.",
             "good": [{"answer": True, "why": "A trigger that works is one."}]},
            {"id": "contain_it", "after": "spread", "role": "lead", "kind": "choice",
             "choices": ["take it out", "wait and see"], "question": "What do you do first?",
             "within_minutes": 5, "milestone": "contain", "step": "quarantine",
             "lesson": "Prepare to take it out.",
             "good": [{"answer": "take it out", "why": "It can do no more harm."}]},
            {"id": "say_it", "after": "spread", "role": "lead", "kind": "text",
             "question": "What do you write down?", "within_minutes": 5, "mentions": [["run"]],
             "lesson": "Write down the run."},
            {"id": "tell_them", "after": "calls", "role": "legal", "kind": "yes_no",
             "question": "Do you tell the authority?", "within_minutes": 30,
             "milestone": "notify", "lesson": "Know whom to tell.",
             "good": [{"answer": True, "why": "It must be told."}]},
        ],
        "controls": ["S12-E1"],
        "references": {"atlas": ["AML.T0018.000"]},
        "source": "Made for a test of the engine.",
    }
)  # fmt: skip


def catalog_of(folder: Path) -> Path:
    """Writes a catalog of this drill and its playbook; returns its folder."""
    for kind, entry in {"drills/tabletop": DRILL, "playbooks/incident": PLAYBOOK}.items():
        place = folder / "catalogs" / kind
        place.mkdir(parents=True)
        told = entry.model_dump(mode="json", exclude_none=True)
        (place / "small.yaml").write_text(yaml.safe_dump(told, sort_keys=False))
    return folder / "catalogs"
