"""Bills of materials in three formats say the same things; each lie in them is found."""

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain.bundle import BundleSpec, FileEntry
from tasks.domain.digest import digest_of
from tasks.domain.errors import InvalidInputError
from tasks.intake.bom import bom_observations, read_bom
from tasks.intake.bom_component import DATA, LIBRARY, MODEL, Component
from tasks.intake.licences import (
    FREE,
    RESTRICTED,
    SHARING,
    contradicts,
    demands,
    expression_problem,
    spdx,
)
from tasks.intake.manifest import parse_manifest
from tests.tasks.intake.bundles import manifest

WEIGHTS, DATASET = b"weights" * 100, b"rows"
FILES = tuple(
    FileEntry(path=path, digest=digest_of(data), size_bytes=len(data))
    for path, data in (
        ("model/digits.bin", WEIGHTS), ("data/eval.npz", DATASET), ("bundle.yaml", b""),
        ("bom", b""),
    )
)  # fmt: skip


def hex_of(data: bytes, algorithm: str = "sha256") -> str:
    return hashlib.new(algorithm, data).hexdigest()


@pytest.fixture
def spec() -> BundleSpec:
    value = manifest() | {"claims": {"licence": "Apache-2.0"}}
    return parse_manifest(yaml.safe_dump(value).encode())


def cyclonedx(version: str = "1.6") -> dict[str, Any]:
    return {
        "bomFormat": "CycloneDX",
        "specVersion": version,
        "version": 1,
        "components": [
            {
                "type": "machine-learning-model",
                "name": "digit-reader",
                "version": "1.2.0",
                "hashes": [{"alg": "SHA-256", "content": hex_of(WEIGHTS)}],
                "licenses": [{"license": {"id": "Apache-2.0"}}],
                "properties": [{"name": "parameters", "value": "700"}],
                "modelCard": {
                    "modelParameters": {"datasets": [{"type": "dataset", "name": "uci-digits"}]},
                    "quantitativeAnalysis": {
                        "performanceMetrics": [{"type": "accuracy", "value": "0.98"}]
                    },
                },
            },
            {
                "type": "data",
                "name": "eval.npz",
                "hashes": [{"alg": "SHA-512", "content": hex_of(DATASET, "sha512")}],
                "licenses": [{"expression": "MIT OR Apache-2.0"}],
            },
            {"type": "library", "name": "numpy", "version": "2.1.0",
             "purl": "pkg:pypi/numpy@2.1.0"},
        ],
    }  # fmt: skip


def xml(version: str = "1.6") -> str:
    return f"""<?xml version="1.0"?>
<bom xmlns="http://cyclonedx.org/schema/bom/{version}" version="1"><components>
<component type="machine-learning-model"><name>digit-reader</name><version>1.2.0</version>
<hashes><hash alg="SHA-256">{hex_of(WEIGHTS)}</hash></hashes>
<licenses><license><id>Apache-2.0</id></license></licenses>
<properties><property name="parameters">700</property></properties>
<modelCard><modelParameters><datasets><dataset type="dataset"><name>uci-digits</name></dataset>
</datasets></modelParameters><quantitativeAnalysis><performanceMetrics><performanceMetric>
<type>accuracy</type><value>0.98</value></performanceMetric></performanceMetrics>
</quantitativeAnalysis></modelCard></component>
<component type="data"><name>eval.npz</name>
<hashes><hash alg="SHA-512">{hex_of(DATASET, "sha512")}</hash></hashes>
<licenses><expression>MIT OR Apache-2.0</expression></licenses></component>
<component type="library"><name>numpy</name><version>2.1.0</version>
<purl>pkg:pypi/numpy@2.1.0</purl></component>
</components></bom>"""


def spdx3() -> dict[str, Any]:
    def hashed(data: bytes, algorithm: str) -> list[dict[str, str]]:
        return [{"type": "Hash", "algorithm": algorithm, "hashValue": hex_of(data, algorithm)}]

    def related(source: str, kind: str, to: str) -> dict[str, Any]:
        return {"type": "Relationship", "spdxId": f"{source}/{kind}", "from": source,
                "relationshipType": kind, "to": [to]}  # fmt: skip

    def licence(name: str, text: str) -> dict[str, str]:
        return {"type": "simplelicensing_LicenseExpression", "spdxId": name,
                "simplelicensing_licenseExpression": text}  # fmt: skip

    return {
        "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
        "@graph": [
            {"type": "CreationInfo", "@id": "_:c", "specVersion": "3.0.1"},
            {"type": "SpdxDocument", "spdxId": "urn:doc", "creationInfo": "_:c"},
            {"type": "ai_AIPackage", "spdxId": "urn:model", "name": "digit-reader",
             "software_packageVersion": "1.2.0", "verifiedUsing": hashed(WEIGHTS, "sha256"),
             "ai_metric": [{"type": "DictionaryEntry", "key": "accuracy", "value": "0.98"}],
             "ai_hyperparameter": [{"type": "DictionaryEntry", "key": "parameters",
                                    "value": "700"}]},
            {"type": "dataset_DatasetPackage", "spdxId": "urn:data", "name": "eval.npz",
             "verifiedUsing": hashed(DATASET, "sha512")},
            {"type": "dataset_DatasetPackage", "spdxId": "urn:set", "name": "uci-digits"},
            {"type": "software_Package", "spdxId": "urn:numpy", "name": "numpy",
             "software_packageVersion": "2.1.0", "software_packageUrl": "pkg:pypi/numpy@2.1.0"},
            licence("urn:l1", "Apache-2.0"), licence("urn:l2", "MIT OR Apache-2.0"),
            related("urn:model", "hasDeclaredLicense", "urn:l1"),
            related("urn:data", "hasConcludedLicense", "urn:l2"),
            related("urn:model", "trainedOn", "urn:set"),
        ],
    }  # fmt: skip


FORMATS: dict[str, Callable[[], bytes]] = {
    "CycloneDX 1.5 JSON": lambda: json.dumps(cyclonedx("1.5")).encode(),
    "CycloneDX 1.6 JSON": lambda: json.dumps(cyclonedx("1.6")).encode(),
    "CycloneDX 1.7 JSON": lambda: json.dumps(cyclonedx("1.7")).encode(),
    "CycloneDX 1.6 XML": lambda: xml().encode(),
    "SPDX 3.0 JSON-LD": lambda: json.dumps(spdx3()).encode(),
}


def hasher(file: FileEntry, algorithm: str) -> str:
    return hex_of({"model/digits.bin": WEIGHTS}.get(file.path, DATASET), algorithm)


def seen(spec: BundleSpec, data: bytes) -> dict[str, str]:
    found = bom_observations(data, spec, FILES, path="bom", hasher=hasher)
    return {item.rule.removeprefix("provenance.bom."): item.severity.value for item in found}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_the_same(spec: BundleSpec, name: str) -> None:
    bom = read_bom(FORMATS[name](), place="bom")
    model, data, library = (
        next(c for c in bom.components if c.kind == kind) for kind in (MODEL, DATA, LIBRARY)
    )
    assert bom.format == name
    assert (model.name, model.version) == ("digit-reader", "1.2.0")
    assert model.hexes() == {hex_of(WEIGHTS)}
    assert data.hexes("sha512") == {hex_of(DATASET, "sha512")}
    assert [licence.text for licence in model.licences + data.licences] == [
        "Apache-2.0", "MIT OR Apache-2.0",
    ]  # fmt: skip
    assert library.package == ("numpy", "2.1.0")
    facts = {("accuracy", "0.98"), ("datasets", "uci-digits"), ("parameters", "700")}
    assert facts <= set(model.facts)
    assert seen(spec, FORMATS[name]()) == {"matches": "info"}


def _edit(change: Callable[[dict[str, Any]], object]) -> bytes:
    value = cyclonedx()
    change(value)
    return json.dumps(value).encode()


def _component(index: int, **more: Any) -> bytes:
    return _edit(lambda bom: bom["components"][index].update(more))


def _hash(name: str, content: str) -> list[dict[str, str]]:
    return [{"alg": name, "content": content}]


LIES: dict[str, tuple[bytes, str, str]] = {
    "another SHA-512": (_component(1, hashes=_hash("SHA-512", "0" * 128)), "digest_mismatch",
                        "high"),
    "another MD5": (_component(1, hashes=_hash("MD5", "0" * 32)), "digest_mismatch", "high"),
    "MD5 alone": (_component(1, hashes=_hash("MD5", hex_of(DATASET, "md5"))), "weak_digest",
                  "low"),
    "data without a digest": (_component(1, hashes=[]), "file_not_listed", "low"),
    "data for study only": (_component(1, licenses=[{"expression": "CC-BY-NC-4.0"}]),
                            "licence_incompatible", "medium"),
    "data to share alike": (_component(1, licenses=[{"expression": "MIT AND CC-BY-SA-4.0"}]),
                            "licence_incompatible", "medium"),
    "a library to share": (_component(2, licenses=[{"license": {"id": "GPL-3.0-only"}}]),
                           "licence_incompatible", "low"),
    "no expression": (_component(1, licenses=[{"expression": "Apache or so"}]), "licence_invalid",
                      "low"),
    "a file that stayed at home": (
        _component(1, name="gone.npz"), "file_missing", "low"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_what_the_bom_gets_wrong_is_found(spec: BundleSpec, name: str) -> None:
    data, rule, severity = LIES[name]
    assert seen(spec, data).get(rule) == severity


def test_files_that_nobody_declared_are_named(spec: BundleSpec) -> None:
    stray = FileEntry(path="model/tokenizer.json", digest=digest_of(b"x"), size_bytes=1)
    data = FORMATS["CycloneDX 1.6 JSON"]()
    found = list(bom_observations(data, spec, (*FILES, stray), path="bom", hasher=hasher))
    assert [item.rule for item in found if "tokenizer" in item.detail] == [
        "provenance.bom.undeclared_files"
    ]


BOMB = '<!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><bom>&b;</bom>'
REFUSED: dict[str, bytes] = {
    "entities": BOMB.encode(),
    "an outside entity": b'<!DOCTYPE b [<!ENTITY a SYSTEM "file:///etc/passwd">]><bom>&a;</bom>',
    "deep XML": b"<a>" * 5_000 + b"</a>" * 5_000,
    "wide XML": b"<bom>" + b"<a/>" * 150_000 + b"</bom>",
    "half XML": b"<bom><components>",
    "other XML": b"<project><name>x</name></project>",
    "SPDX without document": json.dumps(spdx3() | {"@graph": []}).encode(),
    "SPDX with text for elements": json.dumps(spdx3() | {"@graph": ["x"]}).encode(),
    "SPDX of another time": json.dumps({"spdxVersion": "SPDX-2.3", "packages": []}).encode(),
    "NaN": b'{"bomFormat": "CycloneDX", "specVersion": NaN}',
    "keys twice": b'{"bomFormat": "CycloneDX", "bomFormat": "CycloneDX"}',
    "deep JSON": b'{"bomFormat":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
}


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_documents_are_refused_quickly(spec: BundleSpec, name: str) -> None:
    start = time.process_time()
    assert seen(spec, REFUSED[name]) == {"unreadable": "medium"}
    assert time.process_time() - start < 3


def _bom_of(*components: dict[str, Any]) -> bytes:
    return json.dumps(cyclonedx() | {"components": list(components)}).encode()


MANY = range(4_000)
COSTLY: dict[str, Callable[[], bytes]] = {
    "one name, another hash": lambda: _bom_of(
        *({"type": "file", "name": "digits.bin", "version": str(n),
           "hashes": [{"alg": "SHA-512", "content": hex_of(b"%d" % n, "sha512")}]} for n in MANY)
    ),
    "models without end": lambda: _bom_of(
        *({"type": "machine-learning-model", "name": f"m{n}",
           "hashes": [{"alg": "SHA-256", "content": hex_of(b"%d" % n)}]} for n in MANY)
    ),
    "licences without end": lambda: _bom_of(
        *({"type": "data", "name": f"d{n}",
           "licenses": [{"expression": f"MIT AND LicenseRef-{n}"}]} for n in MANY)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COSTLY)
def test_costly_documents_are_judged_in_bounded_time(spec: BundleSpec, name: str) -> None:
    data = COSTLY[name]()
    list(bom_observations(FORMATS["CycloneDX 1.6 JSON"](), spec, FILES, path="bom"))
    start = time.process_time()
    assert seen(spec, data)
    assert time.process_time() - start < 12


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["type", "name", "hashes", "from", "to", "verifiedUsing", "spdxId",
                         "ai_metric", "relationshipType", "algorithm", "hashValue", "key"]),
        inner, max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip
TYPES = st.sampled_from(["SpdxDocument", "ai_AIPackage", "Relationship", "software_File", 3, None])


@given(st.lists(st.tuples(TYPES, JSON), max_size=6))
@settings(max_examples=150, deadline=None)
def test_odd_spdx_graphs_are_read_or_refused(graph: list[tuple[Any, Any]]) -> None:
    elements = [(node if isinstance(node, dict) else {}) | {"type": kind} for kind, node in graph]
    value = {"@context": spdx3()["@context"], "@graph": elements}
    try:
        bom = read_bom(json.dumps(value).encode(), place="bom")
    except InvalidInputError:
        return
    assert all(
        isinstance(item, Component) and isinstance(item.name, str) for item in bom.components
    )


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: f"<bom>{text}".encode()))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        read_bom(data, place="bom")


MEANINGS = {
    "Apache License, Version 2.0": "apache-2.0",
    "https://choosealicense.com/licenses/odc-by/": "odc-by-1.0",
    "https://spdx.org/licenses/MIT.html": "mit",
    "https://creativecommons.org/licenses/by-nc/4.0/": "cc-by-nc-4.0",
    "https://creativecommons.org/publicdomain/zero/1.0/": "cc0-1.0",
    "AFL-3.0": "afl-3.0",
    "Acme licence": None,
    "https://acme.example/licence": None,
    "x" * 10_000: None,
}


@pytest.mark.parametrize("text", MEANINGS)
def test_licences_are_understood_as_people_write_them(text: str) -> None:
    assert spdx(text) == MEANINGS[text]


def test_a_choice_of_licences_agrees_with_each_part() -> None:
    assert not contradicts("MIT OR Apache-2.0", "Apache 2.0")
    assert contradicts("MIT OR Apache-2.0", "GPL-3.0-only")
    assert not contradicts("MIT OR Acme-1", "GPL-3.0-only")


DEMANDS = {
    "MIT": FREE, "CC BY 4.0": FREE, "GPL-3.0-only": SHARING, "CC-BY-SA-4.0": SHARING,
    "CC-BY-NC-4.0": RESTRICTED, "MIT OR GPL-3.0-only": FREE, "MIT AND GPL-3.0-only": SHARING,
    "GPL-2.0-only WITH Classpath-exception-2.0": SHARING, "Acme": None, "MIT AND Acme": None,
    "": None, "(" * 500: None, "openrail": RESTRICTED,
}  # fmt: skip


@pytest.mark.parametrize("text", DEMANDS)
def test_what_licences_ask_for(text: str) -> None:
    assert demands(text) == DEMANDS[text]


EXPRESSIONS = {
    "MIT": True, "apache-2.0": True, "LicenseRef-acme AND MIT": True, "GPL-2.0+": True,
    "GPL-2.0-with-classpath-exception": True, "MIT AND": False, "Acme": False,
    "MIT/Apache-2.0": False, "": False, "(" * 30 + "MIT" + ")" * 30: False, "M" * 9999: False,
}  # fmt: skip


@given(st.text(max_size=60) | st.lists(st.sampled_from(
    ["MIT", "AND", "OR", "WITH", "(", ")", "LicenseRef-x", "GPL-2.0-only", "+", "acme"]
), max_size=9).map(" ".join))  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_any_text_has_an_answer(text: str) -> None:
    assert isinstance(expression_problem(text), str)
    assert demands(text) in {None, FREE, SHARING, RESTRICTED}
    assert not contradicts(text, text)


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expressions_are_valid_or_not(text: str) -> None:
    assert (expression_problem(text) == "") is EXPRESSIONS[text]
