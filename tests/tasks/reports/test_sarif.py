import json
import os
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # ships no types
import pytest

from tasks.domain.finding import Finding, Outcome
from tasks.domain.severity import Severity
from tasks.reports.sarif import run_sarif, scan_sarif
from tasks.scanners.scan import scan_paths
from tests.tasks.reports.stories import NAMES
from tests.tasks.scanners.corpus import EVIL, archived, torch_like

LEVELS = {"none", "note", "warning", "error"}


def scanned(folder: Path) -> dict[str, Any]:
    (folder / "sub folder").mkdir()
    (folder / "sub folder" / "model #1.pt").write_bytes(archived(torch_like(EVIL)))
    (folder / "plain.pkl").write_bytes(EVIL)
    (folder / "card.md").write_text("# Card\n")
    return scan_paths([folder]).model_dump(mode="json")


def log_of(document: dict[str, Any]) -> dict[str, Any]:
    """The log as a reader gets it."""
    copied: dict[str, Any] = json.loads(json.dumps(scan_sarif(document)))
    return copied


def check_shape(log: dict[str, Any]) -> None:
    """The clauses of SARIF 2.1.0 that a consumer relies on."""
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    techniques = {each["id"] for each in run["taxonomies"][0]["taxa"]}
    for rule in rules:
        assert rule["defaultConfiguration"]["level"] in LEVELS
        assert {each["target"]["id"] for each in rule["relationships"]} <= techniques
        assert 0 <= float(rule["properties"]["security-severity"]) <= 10
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        assert result["level"] in LEVELS
        for location in result["locations"]:
            place = location.get("physicalLocation")
            if place:
                index = place["artifactLocation"]["index"]
                uri = run["artifacts"][index]["location"]["uri"]
                assert uri == place["artifactLocation"]["uri"]


def test_a_scan_becomes_a_log(tmp_path: Path) -> None:
    log = log_of(scanned(tmp_path))
    check_shape(log)
    run = log["runs"][0]
    assert [each["location"]["uri"] for each in run["artifacts"]] == [
        "card.md", "plain.pkl", "sub%20folder/model%20%231.pt",
    ]  # fmt: skip
    worst = next(each for each in run["results"] if "region" in str(each["locations"]))
    assert worst["ruleId"] == "pickle.dangerous_global"
    assert worst["level"] == "error"
    place = worst["locations"][0]
    assert place["physicalLocation"]["region"] == {"byteOffset": 2}
    rule = run["tool"]["driver"]["rules"][worst["ruleIndex"]]
    assert rule["relationships"][0]["target"]["id"] == "AML.T0011.000"
    assert "safetensors" in rule["help"]["text"]


def test_an_offset_inside_a_member_is_no_offset_of_the_file(tmp_path: Path) -> None:
    run = log_of(scanned(tmp_path))["runs"][0]
    inner = [each for each in run["results"] if "model" in str(each["locations"])]
    assert inner
    assert all("region" not in each["locations"][0]["physicalLocation"] for each in inner)


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_stay_data(name: str) -> None:
    finding = {"rule": name, "severity": "low", "detail": name, "location": name}
    file = {"path": name, "format": "x", "sha256": None, "bytes": 0, "outcome": "fail"}
    run = log_of({"files": [{**file, "findings": [finding]}]})["runs"][0]
    uri = run["artifacts"][0]["location"]["uri"]
    assert uri.isascii()
    assert not set(uri) & set(' "<>\\^`{|}\x1b')
    assert not uri.lower().startswith("javascript:")
    assert run["results"][0]["message"]["text"] == name


def test_a_run_becomes_a_log() -> None:
    outcomes = [
        (Outcome.PASS, "pass", "none"),
        (Outcome.FAIL, "fail", "error"),
        (Outcome.UNDECIDED, "open", "none"),
        (Outcome.NOT_APPLICABLE, "notApplicable", "none"),
        (Outcome.ERROR, "review", "none"),
    ]
    findings = tuple(
        Finding(
            check="artifact.scan",
            outcome=outcome,
            severity=Severity.CRITICAL,
            question="Is it?",
            detail="it is",
        )
        for outcome, _, _ in outcomes
    )
    log = json.loads(json.dumps(run_sarif("acme/model", findings)))
    check_shape(log)
    results = log["runs"][0]["results"]
    assert [(each["kind"], each["level"]) for each in results] == [row[1:] for row in outcomes]


@pytest.mark.shared_data
def test_the_published_schema_accepts_it(tmp_path: Path) -> None:
    data = os.environ.get("PROOFHOUSE_TEST_DATA")
    if not data:
        pytest.skip("PROOFHOUSE_TEST_DATA is not set, so the published schema is not here")
    source = Path(data).parent / "reference" / "sarif" / "sarif-schema-2.1.0.json"
    schema = json.loads(source.read_text(encoding="utf-8"))
    log = log_of(scanned(tmp_path))
    jsonschema.Draft4Validator(schema).validate(log)
    broken = {**log, "version": "2"}
    assert not jsonschema.Draft4Validator(schema).is_valid(broken)
