"""SARIF 2.1.0: scans and runs for code scanning tools, with the catalog's rules in full.

Source: OASIS Static Analysis Results Interchange Format 2.1.0 (section numbers in the code).
"""

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from tasks.catalog.reading import Catalog
from tasks.domain.errors import CatalogError
from tasks.domain.finding import Finding, Outcome, References
from tasks.domain.severity import Severity

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
ATLAS = "MITRE ATLAS"
_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
_SCORES = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.5",
    Severity.LOW: "2.0",
    Severity.INFO: "0.0",
}
"""``security-severity`` as code scanning tools read it: the middle of each CVSS range."""

_KINDS = {
    Outcome.PASS: "pass",
    Outcome.FAIL: "fail",
    Outcome.UNDECIDED: "open",
    Outcome.NOT_APPLICABLE: "notApplicable",
    Outcome.NOT_AVAILABLE: "review",
    Outcome.ERROR: "review",
}
_OFFSET = re.compile(r":(\d{1,18})$")


def scan_sarif(document: Mapping[str, Any], catalog: Catalog | None = None) -> dict[str, Any]:
    """Returns the SARIF log of a ``scan --json`` document."""
    known = _Rules(catalog or Catalog())
    artifacts, results = [], []
    for index, file in enumerate(document["files"]):
        artifacts.append(_artifact(file))
        results += [_scan_result(finding, file, index, known) for finding in file["findings"]]
    return _log(known, results, artifacts)


def run_sarif(
    asset: str, findings: Iterable[Finding], catalog: Catalog | None = None
) -> dict[str, Any]:
    """Returns the SARIF log of a sealed run of ``asset``: one result for each check."""
    known = _Rules(catalog or Catalog())
    results = [_run_result(finding, asset, known) for finding in findings]
    return _log(known, results, [])


class _Rules:
    """Collects each rule once, in the order of first use (section 3.19.23)."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._index: dict[str, int] = {}
        self.descriptors: list[dict[str, Any]] = []
        self.techniques: set[str] = set()

    def index(self, rule: str) -> int:
        """Returns the place of a rule, and describes it when it is new."""
        if rule not in self._index:
            self._index[rule] = len(self.descriptors)
            self.descriptors.append(self._described(rule))
        return self._index[rule]

    def _described(self, rule: str) -> dict[str, Any]:
        try:
            if rule in self._catalog.ids("rules"):
                entry = self._catalog.rule(rule)
                texts = (entry.title, entry.reason, entry.remedy)
                severity, references = entry.severity, entry.references
            else:
                check = self._catalog.check(rule)
                texts = (check.title, check.why, check.remediation)
                severity, references = check.severity, check.references
        except CatalogError:
            return {"id": rule}
        title, reason, remedy = (" ".join(text.split()) for text in texts)
        self.techniques.update(references.atlas)
        return {
            "id": rule,
            "shortDescription": {"text": title},
            "fullDescription": {"text": reason},
            "help": {"text": remedy},
            "defaultConfiguration": {"level": _LEVELS[severity]},
            "relationships": [_relationship(technique) for technique in references.atlas],
            "properties": {
                "security-severity": _SCORES[severity],
                "tags": ["security", *_tags(references)],
            },
        }


def _relationship(technique: str) -> dict[str, Any]:
    target = {"id": technique, "toolComponent": {"name": ATLAS}}
    return {"target": target, "kinds": ["relevant"]}


def _tags(references: References) -> list[str]:
    return [*references.atlas, *references.owasp_ml, *references.owasp_llm]


def _artifact(file: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "location": {"uri": _uri(file["path"])},
        "length": file["bytes"],
        "properties": {"format": file["format"], "outcome": file["outcome"]},
    }
    if file["sha256"]:
        found["hashes"] = {"sha-256": file["sha256"]}
    return found


def _scan_result(
    finding: Mapping[str, Any], file: Mapping[str, Any], index: int, known: _Rules
) -> dict[str, Any]:
    severity = Severity(finding["severity"])
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(file["path"]), "index": index}}
    place = finding["location"] or file["path"]
    offset = _OFFSET.search(place)
    if offset and place == f"{file['path']}{offset.group()}":
        physical["region"] = {"byteOffset": int(offset.group(1))}
    return {
        "ruleId": finding["rule"],
        "ruleIndex": known.index(finding["rule"]),
        "level": _LEVELS[severity],
        "message": {"text": finding["detail"] or finding["rule"]},
        "locations": [
            {"physicalLocation": physical, "logicalLocations": [{"fullyQualifiedName": place}]}
        ],
        "properties": {"severity": severity.value},
    }


def _run_result(finding: Finding, asset: str, known: _Rules) -> dict[str, Any]:
    kind = _KINDS[finding.outcome]
    return {
        "ruleId": finding.check,
        "ruleIndex": known.index(finding.check),
        "kind": kind,
        # Section 3.27.10: a level other than none belongs to kind "fail" alone.
        "level": _LEVELS[finding.severity] if kind == "fail" else "none",
        "message": {"text": finding.detail or finding.question},
        "locations": [{"logicalLocations": [{"fullyQualifiedName": asset}]}],
        "properties": {
            "severity": finding.severity.value,
            "outcome": finding.outcome.value,
            "evidence": list(finding.evidence),
        },
    }


def _log(
    known: _Rules, results: Iterable[dict[str, Any]], artifacts: list[dict[str, Any]]
) -> dict[str, Any]:
    driver = {
        "name": "Proofhouse",
        "semanticVersion": version("proofhouse"),
        "rules": known.descriptors,
        "supportedTaxonomies": [{"name": ATLAS}],
    }
    taxa = [{"id": technique} for technique in sorted(known.techniques)]
    run: dict[str, Any] = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": True}],
        "taxonomies": [{"name": ATLAS, "organization": "MITRE", "taxa": taxa}],
        "columnKind": "utf16CodeUnits",
        "results": list(results),
    }
    if artifacts:
        run["artifacts"] = artifacts
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _uri(path: str) -> str:
    """Returns a URI reference (RFC 3986): relative paths stay relative to the scanned place."""
    quoted = quote(path.encode("utf-8", "replace"), safe="/!$&'()*+,;=@~._-")
    first = quoted.split("/", 1)[0]
    return f"./{quoted}" if ":" in first else quoted
