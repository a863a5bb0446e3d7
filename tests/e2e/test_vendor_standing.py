"""A vendor's standing and keys, on the real command with a real bundle."""

from pathlib import Path

import pytest

from tests.e2e import hostile_bundles
from tests.services.installed import Proofhouse


@pytest.mark.slow
def test_a_suspended_vendor_is_refused_unopened_and_comes_back_when_approved(
    proofhouse: Proofhouse, tmp_path: Path
) -> None:
    bundle = hostile_bundles.write_bundle(tmp_path / "bundle", "model.pt", hostile_bundles.fine)
    proofhouse("vendors", "add", "Hostile")
    proofhouse("vendors", "suspend", "hostile", "--reason", "the build server was broken into")
    refused = proofhouse("onboard", bundle, "--json")
    assert refused.code == 1, refused.err
    found = {one["check"]: one for one in refused.document["findings"]}
    assert set(found) == {"governance.vendor", "artifact.scan"}
    assert found["governance.vendor"]["severity"] == "critical"
    assert "the build server was broken into" in refused.document["reasons"][0]

    proofhouse("vendors", "approve", "Hostile", "--reason", "rebuilt and audited")
    again = proofhouse("onboard", bundle, "--battery", "test.first", "--json")
    assert again.document["run"] != refused.document["run"]
    assert {one["check"] for one in again.document["findings"]} >= {"artifact.behaviour"}
    shown = proofhouse("vendors", "show", "Hostile", "--json").document
    assert {run["run"] for run in shown["runs"]} == {
        refused.document["run"], again.document["run"],
    }  # fmt: skip
    assert proofhouse("verify", "--all").code == 0
