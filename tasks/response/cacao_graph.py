"""Whether the steps of a CACAO playbook hang together: what its JSON Schema cannot say."""

from collections.abc import Iterator, Mapping
from typing import Any

_ONE = ("on_completion", "on_success", "on_failure", "on_true", "on_false")


def graph_problems(document: Mapping[str, Any]) -> list[str]:
    """Returns what is wrong with a document's graph, one sentence each; empty when all is well.

    Looked for: a start that is missing or no start step, references to steps, agents and
    extensions that are not defined, steps that nothing leads to, ways that never end, and loops
    outside ``while-condition`` steps.
    """
    workflow = document.get("workflow")
    if not isinstance(workflow, dict) or not all(
        isinstance(one, dict) for one in workflow.values()
    ):
        return ["workflow is no table of steps"]
    start = document.get("workflow_start")
    if not isinstance(start, str) or workflow.get(start, {}).get("type") != "start":
        return [f"workflow_start leads to no start step: {str(start)[:100]}"]
    return [
        *_dangling(workflow),
        *_undefined(document, workflow),
        *_unreached(workflow, start),
        *_endless(workflow),
    ]


def leads_to(step: Mapping[str, Any]) -> Iterator[str]:
    """Yields every step that one step names."""
    yield from (str(step[word]) for word in _ONE if word in step)
    many = step.get("next_steps", [])
    yield from (str(each) for each in (many if isinstance(many, list) else []))
    cases = step.get("cases", {})
    yield from (str(each) for each in (cases.values() if isinstance(cases, dict) else []))


def _dangling(workflow: Mapping[str, Any]) -> Iterator[str]:
    for name, step in workflow.items():
        for other in leads_to(step):
            if other not in workflow:
                yield f"{name[:60]} leads to {other[:60]}, which is not there"


def _undefined(document: Mapping[str, Any], workflow: Mapping[str, Any]) -> Iterator[str]:
    agents = document.get("agent_definitions") or {}
    extensions = document.get("extension_definitions") or {}
    for name, step in workflow.items():
        agent = step.get("agent")
        if agent is not None and agent not in agents:
            yield f"{name[:60]}: no agent is called {str(agent)[:60]}"
        for extension in step.get("step_extensions") or {}:
            if extension not in extensions:
                yield f"{name[:60]}: no extension is called {extension[:60]}"


def _unreached(workflow: Mapping[str, Any], start: str) -> Iterator[str]:
    seen, waiting = set[str](), [start]
    while waiting:
        name = waiting.pop()
        if name not in seen and name in workflow:
            seen.add(name)
            waiting += leads_to(workflow[name])
    yield from (f"nothing leads to {name[:60]}" for name in workflow if name not in seen)


def _endless(workflow: Mapping[str, Any]) -> Iterator[str]:
    for name, step in workflow.items():
        if step.get("type") != "end" and not any(True for _ in leads_to(step)):
            yield f"{name[:60]} leads nowhere and is no end step"
    if loop := _loop(workflow):
        yield f"the steps go round in a circle at {loop[:60]}"


def _loop(workflow: Mapping[str, Any]) -> str:
    """Returns a step on a circle, or nothing. Iterative: a long playbook is no deep recursion."""
    done = set[str]()
    for first in workflow:
        path, on_path = [(first, iter(_ways(workflow, first)))], {first}
        while path and first not in done:
            name, ways = path[-1]
            following = next(ways, None)
            if following is None:
                path.pop()
                on_path.discard(name)
                done.add(name)
            elif following in on_path:
                return following
            elif following not in done:
                on_path.add(following)
                path.append((following, iter(_ways(workflow, following))))
    return ""


def _ways(workflow: Mapping[str, Any], name: str) -> list[str]:
    return [other for other in leads_to(workflow.get(name, {})) if other in workflow]
