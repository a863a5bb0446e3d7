"""Deployments: every entrypoint exists, and its parameters make a form that people can fill in."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load(
    (ROOT / "infra" / "prefect.yaml").read_text(encoding="utf-8")
)["deployments"]


def flow_of(deployment: dict[str, Any]) -> Any:
    path, _, name = deployment["entrypoint"].partition(":")
    assert (ROOT / path).is_file()
    return getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name)


def test_every_flow_is_deployed_once() -> None:
    files = {file.name for file in (ROOT / "flows").glob("*.py")} - {"__init__.py"}
    deployed = [Path(one["entrypoint"].partition(":")[0]).name for one in DEPLOYMENTS]
    assert sorted(deployed) == sorted(files)


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda one: one["name"])
def test_a_deployment_is_its_flow_and_makes_a_good_form(deployment: dict[str, Any]) -> None:
    from prefect.utilities.callables import parameter_schema  # noqa: PLC0415 - 3 s of imports

    flow = flow_of(deployment)
    assert flow.name == deployment["name"]
    form = parameter_schema(flow).model_dump()
    fields = form["properties"]
    assert set(deployment["parameters"]) <= set(fields)
    assert all(fields[needed]["description"] for needed in form["required"])
    assert all(field["description"] for field in fields.values())
    if "tier" in fields:
        assert fields["tier"]["anyOf"][0]["enum"] == ["low", "medium", "high"]
