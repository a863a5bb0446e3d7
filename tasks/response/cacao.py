"""Playbooks as CACAO 2.0 documents, so that other tools can read ours.

Ours are graphs of steps that wait for each other; CACAO's are nested branches. The document walks
our steps in reading order, which is one of the orders that the graph allows: stricter, never laxer.
A step with a condition becomes an ``if-condition`` with one branch. What CACAO has no place for
(deadlines, gates, values of earlier steps) travels in an extension of each step, from which
``read_cacao`` builds the same playbook again.

Source: OASIS CACAO Security Playbooks Version 2.0, 27 November 2023.
"""

import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from tasks.catalog.playbooks import PlaybookEntry, Step
from tasks.domain.errors import InvalidInputError
from tasks.domain.severity import Severity
from tasks.response.cacao_graph import graph_problems

_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://proofhouse.dev/cacao")
_SEVERITY = {
    Severity.INFO: 10,
    Severity.LOW: 25,
    Severity.MEDIUM: 50,
    Severity.HIGH: 75,
    Severity.CRITICAL: 100,
}
_CREATOR = f"identity--{uuid.uuid5(_SPACE, 'proofhouse')}"
EXTENSION = f"extension-definition--{uuid.uuid5(_SPACE, 'extension')}"
_MACHINE = f"group--{uuid.uuid5(_SPACE, 'machine')}"


def write_cacao(entry: PlaybookEntry, *, created: datetime) -> dict[str, Any]:
    """Returns the document as JSON values; the same entry and moment give the same document."""
    stamp = created.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    start, end = _id("start", entry, "start"), _id("end", entry, "end")
    heads = [_head(entry, step) for step in entry.steps]
    workflow: dict[str, Any] = {start: {"type": "start", "on_completion": heads[0]}}
    for step, following in zip(entry.steps, [*heads[1:], end], strict=True):
        workflow |= dict(_steps(entry, step, following))
    workflow[end] = {"type": "end"}
    return {
        "type": "playbook",
        "spec_version": "cacao-2.0",
        "id": _id("playbook", entry, str(entry.version)),
        "name": entry.title,
        "description": entry.purpose,
        "playbook_types": ["mitigation", "remediation", "notification"],
        "created_by": _CREATOR,
        "created": stamp,
        "modified": stamp,
        "severity": _SEVERITY[entry.severity],
        "labels": [entry.id, *entry.references.atlas],
        "workflow_start": start,
        "workflow": workflow,
        "agent_definitions": dict(_agents(entry)),
        "extension_definitions": {
            EXTENSION: {
                "type": "extension-definition",
                "name": "Proofhouse playbook",
                "description": "The step, or the playbook, as Proofhouse's catalog has it.",
                "created_by": _CREATOR,
                "schema": "https://proofhouse.dev/schemas/playbooks.schema.json",
                "version": "1.0.0",
            }
        },
        "playbook_extensions": {
            EXTENSION: entry.model_dump(mode="json", exclude={"steps"}, exclude_none=True)
        },
    }


def read_cacao(document: Mapping[str, Any], *, place: str) -> PlaybookEntry:
    """Reads a document that :func:`write_cacao` wrote, in its present form.

    Raises:
        InvalidInputError: Its graph is broken, or it comes from elsewhere: steps of other tools
            are commands that nobody here has looked at, so a person writes the entry.
    """
    if problems := graph_problems(document):
        raise InvalidInputError(f"{place} is no sound CACAO playbook: {'; '.join(problems[:5])}")
    told = document.get("playbook_extensions", {}).get(EXTENSION)
    if not isinstance(told, dict):
        raise InvalidInputError(
            f"{place} was not written by Proofhouse. Write a catalog entry after it: its commands "
            "are another system's and are never run from here."
        )
    steps = [_told(document["workflow"][name]) for name in _walk(document)]
    try:
        return PlaybookEntry.model_validate(told | {"steps": [step for step in steps if step]})
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInputError(
            f"{place}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from error


def _steps(entry: PlaybookEntry, step: Step, following: str) -> Iterator[tuple[str, Any]]:
    action = _id("action", entry, step.id)
    if step.when is None:
        yield action, _action(entry, step) | {"on_completion": following}
        return
    # A branch ends in an end step of its own (section 4.10).
    end = _id("end", entry, f"end of {step.id}")
    yield (
        _head(entry, step),
        {
            "type": "if-condition",
            "name": f"Only if {step.when.value} is {step.when.equals}",
            "condition": f"__{step.when.value.replace('.', '_')}__:value = '{step.when.equals}'",
            "on_true": action,
            "on_completion": following,
        },
    )
    yield action, _action(entry, step) | {"on_completion": end}
    yield end, {"type": "end"}


def _action(entry: PlaybookEntry, step: Step) -> dict[str, Any]:
    """Returns the step. What our machine does is a manual command to others: they lack it."""
    words = step.instruction.strip()
    if step.action:
        words += f" Proofhouse does this by itself: {step.action.name}."
    if step.gate:
        words += f" A named person approves: {step.gate.question}"
    return {
        "type": "action",
        "name": step.title,
        "description": f"{step.phase.value}: {words}",
        "commands": [{"type": "manual", "command": words}],
        "agent": _MACHINE if step.action else _agent(entry, step.role),
        "step_extensions": {EXTENSION: step.model_dump(mode="json", exclude_none=True)},
    }


def _agents(entry: PlaybookEntry) -> Iterator[tuple[str, Any]]:
    yield _MACHINE, {"type": "group", "name": "Proofhouse"}
    for role, told in entry.roles.items():
        yield (
            _agent(entry, role),
            {"type": "group", "name": told.title, "description": told.duty},
        )


def _head(entry: PlaybookEntry, step: Step) -> str:
    return _id("if-condition" if step.when else "action", entry, step.id)


def _agent(entry: PlaybookEntry, role: str) -> str:
    return _id("group", entry, f"role {role}")


def _id(kind: str, entry: PlaybookEntry, name: str) -> str:
    return f"{kind}--{uuid.uuid5(_SPACE, f'{entry.id} {name}')}"


def _walk(document: Mapping[str, Any]) -> Iterator[str]:
    """Yields the steps of the main line, and the branch of each condition before what follows."""
    at: str | None = document["workflow_start"]
    while at is not None:
        step = document["workflow"][at]
        yield at
        if step["type"] == "if-condition":
            yield step["on_true"]
        at = step.get("on_completion")


def _told(step: Mapping[str, Any]) -> Any:
    return step.get("step_extensions", {}).get(EXTENSION)
