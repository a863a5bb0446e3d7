"""Models that misbehave when opened or asked, through the whole command: a verdict that says how.

Each runs ``proofhouse onboard`` for real. Afterwards nothing of the model is left: no process, no
scratch; and what was sealed verifies.
"""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e import hostile_bundles as hostile
from tests.services.asked import only_when_asked
from tests.services.installed import Proofhouse, Ran
from tests.services.living import wait_until_none_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
REFUSED, REVIEW = 1, 3


class Case(NamedTuple):
    artifact: str
    write: hostile.Writer
    rule: str
    location: str
    seconds: float = 60.0
    output: str = "logits"


MISBEHAVING = {
    "TorchScript spins at load": Case(
        "model.pt", hostile.spins_at_load, "behaviour.spins", "opening", seconds=5
    ),
    "TorchScript spins when asked": Case(
        "model.pt",
        hostile.spins_after(hostile.QUERIES_AT_OPENING),
        "behaviour.spins",
        "query",
        seconds=15,
    ),
    "ONNX loops without end": Case(
        "model.onnx", hostile.loops_in_onnx, "behaviour.spins", "opening", seconds=5
    ),
    "ONNX allocates by shape": Case(
        "model.onnx", hostile.allocates_in_onnx, "behaviour.exhausts_memory", "opening"
    ),
    "scikit-learn crashes": Case(
        "model.joblib",
        hostile.crashes_in_sklearn,
        "behaviour.crashes",
        "opening",
        output="probabilities",
    ),
}


def onboard(proofhouse: Proofhouse, bundle: Path, battery: str, *, seconds: float = 60) -> Ran:
    proofhouse.environment["PROOFHOUSE_SANDBOX__CALL_SECONDS"] = str(seconds)
    ran = proofhouse("onboard", bundle, "--battery", battery, "--json", timeout=600)
    assert "Traceback" not in ran.err
    wait_until_none_of(proofhouse.home)
    assert list((proofhouse.home / "scratch").iterdir()) == []
    verified = proofhouse("verify", "--all", "--json")
    assert verified.code == 0
    assert [run["run"] for run in verified.document["runs"]] == [ran.document["run"]]
    return ran


def finding(ran: Ran, check: str) -> Any:
    (found,) = [each for each in ran.document["findings"] if each["check"] == check]
    return found


ALWAYS = "scikit-learn crashes"
"""The sandbox's own tests meet each act; through the whole command one shows the way."""
when_asked = only_when_asked("takes a minute")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == ALWAYS else when_asked) for name in MISBEHAVING],
)
def test_a_model_that_misbehaves_is_refused_with_its_own_finding(
    name: str, proofhouse: Proofhouse, tmp_path: Path
) -> None:
    case = MISBEHAVING[name]
    bundle = hostile.write_bundle(
        tmp_path / "bundle", case.artifact, case.write, output=case.output
    )
    ran = onboard(proofhouse, bundle, "test.first", seconds=case.seconds)
    assert ran.code == REFUSED, ran.err
    assert finding(ran, "artifact.scan")["outcome"] == "pass", "the act must get past the scan"
    behaviour = finding(ran, "artifact.behaviour")
    assert behaviour["outcome"] == "fail"
    assert f"{case.rule} " in behaviour["detail"]
    assert f"at {case.location}" in behaviour["detail"]


def test_a_model_that_the_scan_refuses_is_never_opened(
    proofhouse: Proofhouse, tmp_path: Path
) -> None:
    write = hostile.forks_and_calls_home_when_unpickled
    bundle = hostile.write_bundle(tmp_path / "bundle", "model.pkl", write)
    ran = onboard(proofhouse, bundle, "test.first")
    assert ran.code == REFUSED
    assert finding(ran, "artifact.scan")["outcome"] == "fail"
    behaviour = finding(ran, "artifact.behaviour")
    assert behaviour["outcome"] == "not_available"
    assert "the model was not opened" in behaviour["detail"]


@when_asked
def test_a_model_that_waits_for_the_attack_costs_that_check_and_no_more(
    proofhouse: Proofhouse, tmp_path: Path
) -> None:
    # It is good while it is looked at, and spins in the first longer work.
    patience = hostile.QUERIES_AT_OPENING + hostile.QUERIES_AT_A_LOOK
    bundle = hostile.write_bundle(tmp_path / "bundle", "model.pt", hostile.spins_after(patience))
    ran = onboard(proofhouse, bundle, "test.fast", seconds=12)
    assert ran.code in {REFUSED, REVIEW}
    assert finding(ran, "artifact.behaviour")["outcome"] == "pass"
    attacked = finding(ran, "evasion.linf_robust_accuracy")
    assert attacked["outcome"] == "error"
    assert "sandbox.child_spinning" in attacked["detail"]
