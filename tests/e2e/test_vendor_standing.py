"""A vendor's standing and keys, on the real command with a real bundle."""

import pytest

from tests.services.installed import Bundles, Proofhouse


@pytest.mark.slow
def test_a_suspended_vendor_is_refused_unopened_and_comes_back_when_approved(
    proofhouse: Proofhouse, bundles: Bundles
) -> None:
    proofhouse("vendors", "add", "Acme Vision")
    proofhouse("vendors", "suspend", "acme-vision", "--reason", "the build server was broken into")
    refused = proofhouse("onboard", bundles.honest, "--json")
    assert refused.code == 1, refused.err
    found = {one["check"]: one for one in refused.document["findings"]}
    assert set(found) == {"governance.vendor", "artifact.scan"}
    assert found["governance.vendor"]["severity"] == "critical"
    assert "the build server was broken into" in refused.document["reasons"][0]

    proofhouse("vendors", "approve", "Acme Vision", "--reason", "rebuilt and audited")
    again = proofhouse("onboard", bundles.honest, "--battery", "test.first", "--json")
    assert again.document["run"] != refused.document["run"]
    assert {one["check"] for one in again.document["findings"]} >= {"artifact.behaviour"}
    shown = proofhouse("vendors", "show", "Acme Vision", "--json").document
    assert {run["run"] for run in shown["runs"]} == {
        refused.document["run"], again.document["run"],
    }  # fmt: skip
    assert proofhouse("verify", "--all").code == 0
