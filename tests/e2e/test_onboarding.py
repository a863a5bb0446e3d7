"""The main job, from the command line, on real bundles: verdicts, evidence, resumption."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.flows.test_filling import asked
from tests.services.installed import Bundles, Proofhouse, Ran, installed

pytestmark = pytest.mark.slow
SOUND = ("--battery", "test.sound", "--json")


@pytest.fixture(scope="module")
def home(
    server: str, catalogs: Path, bundles: Bundles, tmp_path_factory: pytest.TempPathFactory
) -> Proofhouse:
    made = installed(tmp_path_factory.mktemp("onboarding") / "home", server, catalogs, bundles)
    made.environment["PROOFHOUSE_COMPUTE__WORKERS"] = "2"
    return made


@pytest.fixture(scope="module")
def honest(home: Proofhouse, bundles: Bundles) -> Ran:
    return home("onboard", bundles.honest, *SOUND)


@pytest.fixture(scope="module")
def compromised(home: Proofhouse, bundles: Bundles) -> Ran:
    return home("onboard", bundles.compromised, "--battery", "test.sins", "--json")


def outcomes(document: dict[str, Any]) -> dict[str, str]:
    return {finding["check"]: finding["outcome"] for finding in document["findings"]}


def test_the_honest_vendor_is_accepted(honest: Ran) -> None:
    assert honest.code == 0, honest.err
    assert honest.document["verdict"] in {"accepted", "accepted_with_conditions"}
    found = outcomes(honest.document)
    assert found["artifact.scan"] == "pass"
    assert found["backdoor.trigger_inversion"] == "pass"
    assert found["poisoning.spectral_signature"] == "pass"
    papers = ("manifest", "signature", "bom", "dependencies", "lineage", "documents")
    assert {found[f"provenance.{name}"] for name in papers} == {"pass"}
    # No source of advisories is set up here, and silence is not success.
    assert found["provenance.advisories"] == "not_available"


def test_the_compromised_vendor_is_refused_for_each_of_its_sins(compromised: Ran) -> None:
    assert compromised.code == 1, compromised.err
    assert compromised.document["verdict"] == "refused"
    found = outcomes(compromised.document)
    assert found["artifact.scan"] == "fail"
    failed = ("signature", "bom", "dependencies", "documents")
    assert {found[f"provenance.{name}"] for name in failed} == {"fail"}
    assert found["poisoning.spectral_signature"] == "fail"
    assert found["backdoor.trigger_inversion"] == "fail"


def test_the_document_keeps_its_contract(honest: Ran) -> None:
    document = honest.document
    assert {"run", "asset", "tier", "verdict", "findings", "evidence", "report"} <= set(document)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", document["evidence"]["statement"])
    assert isinstance(document["evidence"]["ledger_index"], int)
    for finding in document["findings"]:
        assert finding["question"].endswith("?")
        assert finding["references"]["atlas"] or finding["references"]["owasp_ml"]
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in finding["evidence"])
        if finding["estimate"]:
            estimate = finding["estimate"]
            assert estimate["low"] <= estimate["value"] <= estimate["high"]
            assert estimate["n"] > 0


def test_the_prefect_ui_names_the_run_after_the_asset(server: str, honest: Ran) -> None:
    runs = asked(server, "/flow_runs/filter", {"limit": 200})
    assert f"onboard {honest.document['asset']}" in {run["name"] for run in runs}


def test_a_second_onboarding_makes_no_pass_and_says_the_same(
    home: Proofhouse, bundles: Bundles, honest: Ran
) -> None:
    again = home("onboard", bundles.honest, *SOUND)
    assert again.document == honest.document
    assert "[1/" not in again.err


def test_the_evidence_verifies_and_the_report_stands_alone(
    home: Proofhouse, honest: Ran, compromised: Ran
) -> None:
    verified = home("verify", "--all", "--json")
    assert verified.code == 0, verified.out
    assert {run["run"] for run in verified.document["runs"]} == {
        honest.document["run"],
        compromised.document["run"],
    }
    html = Path(compromised.document["report"]).read_text(encoding="utf-8")
    assert "default-src &#39;none&#39;" in html or "default-src 'none'" in html
    assert "<script" not in html
    assert "http-equiv" in html
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", html)


def test_reports_come_as_html_json_and_bom(home: Proofhouse, honest: Ran, tmp_path: Path) -> None:
    run = honest.document["run"]
    assert home("report", run, "--format", "json").document == honest.document
    written = home("report", run, "--format", "html", "--out", tmp_path / "r.html")
    assert written.code == 0
    assert (tmp_path / "r.html").read_bytes() == Path(honest.document["report"]).read_bytes()
    bom = home("report", run, "--format", "cyclonedx").out
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bom) is None
    card = json.loads(bom)["metadata"]["component"]["modelCard"]
    metrics = card["quantitativeAnalysis"]["performanceMetrics"]
    assert metrics[0]["type"] == "accuracy"
    assert float(metrics[0]["confidenceInterval"]["lowerBound"]) > 0.9


def test_the_inventory_knows_both_assets(home: Proofhouse, honest: Ran, compromised: Ran) -> None:
    assets = home("inventory", "assets", "--json").document["assets"]
    assert {asset["asset"] for asset in assets} == {
        honest.document["asset"],
        compromised.document["asset"],
    }
    runs = home("inventory", "runs", "--json").document["runs"]
    assert {run["verdict"] for run in runs} >= {"refused"}


def test_the_accepted_model_is_signed_and_registered_and_the_refused_one_is_not(
    home: Proofhouse, honest: Ran, compromised: Ran
) -> None:
    [version] = home("registry", "list", "--json").document["versions"]
    assert (version["asset"], version["alias"]) == (honest.document["asset"], "candidate")
    assert version["statement"] == honest.document["evidence"]["statement"]
    checked = home("registry", "check", honest.document["asset"], "--json")
    assert checked.document["ok"], checked.out
    refused = home("registry", "check", compromised.document["asset"], "--json")
    assert (refused.code, refused.document["ok"]) == (1, False)
