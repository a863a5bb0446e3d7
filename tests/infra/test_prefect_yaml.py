"""Deployments: every entrypoint exists, and its parameters make a form that people can fill in."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.deployments import DEPLOYMENTS as SERVED
from tasks.deployments import TAG

ROOT = Path(__file__).parent.parent.parent
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load(
    (ROOT / "infra" / "prefect.yaml").read_text(encoding="utf-8")
)["deployments"]


def flow_of(deployment: dict[str, Any]) -> Any:
    path, _, name = deployment["entrypoint"].partition(":")
    assert (ROOT / path).is_file()
    return getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name)


AGAIN = {"drill-monthly": "hold-drill", "live-fire-monthly": "hold-drill"}
"""Deployments of a flow that has one of its own name already: the same on a schedule."""


def test_every_flow_is_deployed_once() -> None:
    files = {file.name for file in (ROOT / "flows").glob("*.py")} - {"__init__.py"}
    deployed = [
        Path(one["entrypoint"].partition(":")[0]).name
        for one in DEPLOYMENTS
        if one["name"] not in AGAIN
    ]
    assert sorted(deployed) == sorted(files)


def test_a_work_pool_gets_what_serve_runs() -> None:
    told = {
        one.name: {
            "entrypoint": one.entrypoint,
            "description": one.description,
            "tags": [TAG, *one.tags],
            "parameters": one.parameters,
            "schedules": [{"cron": one.cron, "timezone": "UTC"}] if one.cron else [],
            "limit": one.at_once,
        }
        for one in SERVED
    }
    given = {
        one["name"]: {
            **{key: one[key] for key in ("entrypoint", "description", "tags", "parameters")},
            "schedules": one.get("schedules", []),
            "limit": one.get("concurrency_limit", {}).get("limit", 0),
        }
        for one in DEPLOYMENTS
    }
    assert given == told
    strategies = {
        one["concurrency_limit"]["collision_strategy"]
        for one in DEPLOYMENTS
        if "concurrency_limit" in one
    }
    assert strategies == {"CANCEL_NEW"}


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda one: one["name"])
def test_a_deployment_is_its_flow_and_makes_a_good_form(deployment: dict[str, Any]) -> None:
    from prefect.utilities.callables import parameter_schema  # noqa: PLC0415 - 3 s of imports

    flow = flow_of(deployment)
    assert flow.name == AGAIN.get(deployment["name"], deployment["name"])
    form = parameter_schema(flow).model_dump()
    fields = form["properties"]
    assert set(deployment["parameters"]) <= set(fields)
    assert all(fields[needed]["description"] for needed in form["required"])
    assert all(field["description"] for field in fields.values())
    if "tier" in fields:
        assert fields["tier"]["anyOf"][0]["enum"] == ["low", "medium", "high"]
