"""Dataset cards are held against the bytes; gaps and odd forms are named, nothing is fetched."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain.bundle import BundleSpec, FileEntry
from tasks.domain.digest import digest_of, hexadecimal
from tasks.domain.errors import InvalidInputError
from tasks.intake.croissant import Croissant, croissant_observations, parse_croissant
from tasks.intake.manifest import parse_manifest
from tests.tasks.intake.bundles import manifest

DATA = b"rows"
FILES = (
    FileEntry(path="data/eval.npz", digest=digest_of(DATA), size_bytes=4),
    FileEntry(path="docs/croissant.json", digest=digest_of(b""), size_bytes=0),
)
RAI = {
    "rai:dataCollection": "forms", "rai:dataBiases": "few writers",
    "rai:personalSensitiveInformation": "none", "rai:dataUseCases": "reading digits",
}  # fmt: skip


@pytest.fixture
def spec() -> BundleSpec:
    value = manifest() | {"claims": {"licence": "Apache-2.0"}}
    return parse_manifest(yaml.safe_dump(value).encode())


def card(**changed: Any) -> dict[str, Any]:
    return {
        "@context": {"@vocab": "https://schema.org/"},
        "@type": "sc:Dataset",
        "name": "uci-digits",
        "version": "1.0.0",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "license": "https://creativecommons.org/licenses/by/4.0/",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "eval",
                "name": "eval",
                "contentUrl": "data/eval.npz",
                "sha256": hexadecimal(digest_of(DATA)),
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "field": [{"@type": "cr:Field", "source": {"fileObject": {"@id": "eval"}}}],
            }
        ],
        **RAI,
        **changed,
    }


def file(**changed: Any) -> dict[str, Any]:
    whole: dict[str, Any] = card()["distribution"][0] | changed
    return {"distribution": [{key: value for key, value in whole.items() if value is not None}]}


def seen(spec: BundleSpec, value: Any, path: str = "croissant.json") -> dict[str, str]:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    found = list(croissant_observations(data, spec, FILES, path=path))
    assert all(item.detail.isprintable() for item in found)
    return {item.rule.removeprefix("provenance.croissant."): item.severity.value for item in found}


def test_a_whole_card_leaves_nothing_open(spec: BundleSpec) -> None:
    assert seen(spec, card()) == {"matches": "info"}


ALIKE: dict[str, dict[str, Any]] = {
    "version 1.0": {"conformsTo": "http://mlcommons.org/croissant/1.0"},
    "prefixed keys": {"sc:license": "MIT", "license": None},
    "several versions": {"conformsTo": ["http://mlcommons.org/croissant/1.1",
                                        "http://mlcommons.org/croissant/RAI/1.0"]},
    "one file, no list": {"distribution": card()["distribution"][0]},
    "whole type": {"@type": "https://schema.org/Dataset"},
    "digest in capitals": file(sha256=hexadecimal(digest_of(DATA)).upper()),
    "address elsewhere": file(contentUrl="https://data.example/eval.npz?x=1"),
}  # fmt: skip


@pytest.mark.parametrize("name", ALIKE)
def test_cards_are_written_in_many_ways(spec: BundleSpec, name: str) -> None:
    assert seen(spec, card(**ALIKE[name])) == {"matches": "info"}


def test_addresses_may_start_at_the_cards_folder(spec: BundleSpec) -> None:
    inside = card(**file(contentUrl="eval.npz"))
    assert seen(spec, inside, path="data/croissant.json") == {"matches": "info"}


WRONG: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "other bytes": (file(sha256="0" * 64), {"digest_mismatch": "high", "data_not_covered": "low"}),
    "other bytes elsewhere": (file(sha256="0" * 64, contentUrl="https://x.example/eval.npz"),
                              {"digest_mismatch": "high", "data_not_covered": "low"}),
    "no digest": (file(sha256=None), {"hash_missing": "low", "data_not_covered": "low"}),
    "no digest at all": (file(sha256="https://github.example/issues/80"),
                         {"hash_unusable": "low", "data_not_covered": "low"}),
    "another file": (file(contentUrl="data/other.npz", name="other", **{"@id": "eval"},
                          sha256="0" * 64), {"data_not_covered": "low"}),
    "dangling": ({"recordSet": [{"field": [{"source": {"fileObject": {"@id": "gone"}}}]}]},
                 {"dangling_reference": "low"}),
    "dangling below": ({"recordSet": [{"field": [{"subField": [
        {"source": {"fileSet": {"@id": "gone"}}}]}]}]}, {"dangling_reference": "low"}),
    "other version": ({"conformsTo": "http://mlcommons.org/croissant/0.8"},
                      {"unknown_version": "low"}),
    "for study only": ({"license": "CC-BY-NC-4.0"}, {"licence_incompatible": "medium"}),
    "no licence": ({"license": "unknown"}, {"no_licence": "low"}),
    "no version": ({"version": None}, {"no_version": "low"}),
    "no record sets": ({"recordSet": []}, {"no_record_sets": "low"}),
    "no biases": ({"rai:dataBiases": "x", "rai:dataCollection": "y"}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_a_card_lacks_or_gets_wrong_is_named(spec: BundleSpec, name: str) -> None:
    changed, wanted = WRONG[name]
    found = seen(spec, card(**changed))
    found.pop("matches", None)
    assert found == wanted


def test_responsible_ai_topics_are_asked_for(spec: BundleSpec) -> None:
    bare = {key: value for key, value in card().items() if key not in RAI}
    assert {rule for rule in seen(spec, bare) if rule.startswith("no_rai")} == {
        "no_rai_collection", "no_rai_biases", "no_rai_personal", "no_rai_use",
    }  # fmt: skip


REFUSED: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "a list": lambda: b"[]",
    "another thing": lambda: json.dumps(card(**{"@type": "Person"})).encode(),
    "deep": lambda: b'{"@type": "Dataset", "x":' + b"[" * 5_000,
    "twice": lambda: b'{"@type": "Dataset", "@type": "Dataset"}',
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_card_is_a_finding(spec: BundleSpec, name: str) -> None:
    assert seen(spec, REFUSED[name]()) == {"unreadable": "medium"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["@type", "@id", "name", "contentUrl", "sha256", "field", "source",
                         "fileObject", "subField", "url"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(JSON, JSON, JSON)
@settings(max_examples=150, deadline=None)
def test_odd_cards_are_read_or_refused(files: Any, records: Any, licence: Any) -> None:
    value = card(distribution=files, recordSet=records, license=licence, conformsTo=licence)
    try:
        found = parse_croissant(json.dumps(value).encode(), place="x")
    except InvalidInputError:
        return
    assert isinstance(found, Croissant)


REAL = {
    "croissant-titanic": ("1.0", 2, 0),
    "croissant-credit-g": ("1.0", 1, 0),
    "croissant-gpt-3": ("1.0", 1, 1),
    "croissant-hh-rlhf": ("1.0", 2, 0),
    "croissant-wildchat-1.1": ("1.1", 1, 1),
}


@pytest.mark.shared_data
@pytest.mark.parametrize("name", REAL)
def test_real_cards_are_read(spec: BundleSpec, name: str) -> None:
    folder = os.environ.get("PROOFHOUSE_TEST_DATA")
    if not folder:
        pytest.skip("PROOFHOUSE_TEST_DATA names no folder with the development data")
    data = (Path(folder) / "governance" / f"{name}.json").read_bytes()
    found = parse_croissant(data, place=name)
    version, files, sets = REAL[name]
    assert found.conforms == version
    assert len(found.files) >= files
    assert len(found.file_sets) >= sets
    assert found.record_sets > 0
    rules = seen(spec, data)
    assert not {"digest_mismatch", "unreadable", "unknown_version"} & set(rules)
