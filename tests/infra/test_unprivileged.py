"""The example profiles keep what the sandbox's level L2 counts on."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.settings import Settings

INFRA = Path(__file__).parents[2] / "infra"


def read(name: str) -> Any:
    return yaml.safe_load((INFRA / name).read_text(encoding="utf-8"))


def test_the_pod_is_unprivileged_and_bounded() -> None:
    pod = read("kubernetes-worker.yaml")["spec"]["template"]["spec"]
    (worker,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert worker["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert worker["resources"]["limits"]["memory"]
    scratch = next(volume for volume in pod["volumes"] if volume["name"] == "scratch")
    assert scratch["emptyDir"]["sizeLimit"]


def test_the_plain_container_is_unprivileged_and_bounded() -> None:
    worker = read("compose.yaml")["services"]["worker"]
    assert worker["user"].split(":")[0] != "0"
    assert worker["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in worker["security_opt"]
    assert not any("unconfined" in option for option in worker["security_opt"])
    assert worker["read_only"] is True
    assert worker["mem_limit"] == worker["memswap_limit"]


def variables(name: str) -> dict[str, str]:
    if name == "compose.yaml":
        found: dict[str, str] = read(name)["services"]["worker"]["environment"]
        return found
    (worker,) = read(name)["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each["value"] for each in worker["env"]}


@pytest.mark.parametrize("name", ["compose.yaml", "kubernetes-worker.yaml"])
def test_the_variables_are_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in variables(name).items():
        monkeypatch.setenv(key, value)
    settings = Settings()
    assert settings.sandbox.required == "L2"
    assert settings.home == Path("/var/lib/proofhouse")
    assert settings.compute.kind == "scheduler"
