"""Questionnaire, cards and BOMs of the real world."""

import json
import os
import time
from pathlib import Path
from typing import get_args

import pytest

from tasks.catalog.questionnaires import Section
from tasks.catalog.reading import Catalog
from tasks.domain.bundle import BundleSpec
from tasks.domain.errors import CatalogError, InvalidInputError
from tasks.intake.artifact import ArtifactFacts
from tasks.intake.bom import bom_observations
from tasks.intake.contradictions import contradictions
from tasks.intake.licences import contradicts, spdx
from tasks.intake.manifest import parse_manifest
from tasks.intake.markdown import active_content, parse_card, remote_images
from tasks.intake.model_card import card_observations, missing_topics
from tasks.intake.questionnaire import Answer, impact_answers, parse_answers, read_questionnaire
from tasks.intake.stated_facts import facts_of_card
from tests.tasks.intake.bundles import manifest


@pytest.fixture
def spec() -> BundleSpec:
    import yaml  # noqa: PLC0415 - one fixture

    claims = {"accuracy": 0.981, "licence": "Apache-2.0", "dp_epsilon": 3.0,
              "training_data": ["uci-digits"]}  # fmt: skip
    return parse_manifest(yaml.safe_dump(manifest() | {"claims": claims}).encode())


def test_the_shipped_questionnaire_is_whole() -> None:
    entry = read_questionnaire()
    assert len(entry.questions) >= 25
    assert {question.section for question in entry.questions} == set(get_args(Section))
    assert all(question.references.nist_ai_rmf for question in entry.questions if question.required)


def test_impact_answers_are_those_the_risk_tier_asks_for() -> None:
    entry = read_questionnaire()
    marked = {q.id for q in entry.questions if q.impact}
    assert marked == {factor.question for factor in Catalog().tiers("risk.standard").factors}
    given: dict[str, Answer] = {
        "use.impact": "serious",
        "use.users": 5,
        "use.regulated_use": False,
        "x.y": "z",
    }
    assert set(impact_answers(given)) == {"use.impact", "use.users", "use.regulated_use"}


def test_a_broken_questionnaire_of_ours_is_a_catalog_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "questionnaires" / "vendor"
    place.mkdir(parents=True)
    (place / "standard.yaml").write_text("id: vendor.standard\nversion: 1\n")
    monkeypatch.setenv("PROOFHOUSE_CATALOGS", str(tmp_path))
    with pytest.raises(CatalogError, match="questions"):
        read_questionnaire()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (b"answers: {use.impact: minor}", 1),
        (b"questionnaire: vendor.standard\nversion: 1\nuse.impact: minor\n", 1),
        (b"answers: {}", 0),
    ],
)
def test_answers_come_in_two_shapes(text: bytes, count: int) -> None:
    assert len(parse_answers(text, place="q")) == count


@pytest.mark.parametrize(
    "text", [b"- a", b"", b"answers: [1]", b"questionnaire: other.one\nanswers: {}", b"\xff"]
)
def test_other_shapes_are_refused(text: bytes) -> None:
    with pytest.raises(InvalidInputError):
        parse_answers(text, place="q")


def test_licences_contradict_only_when_both_are_certain() -> None:
    assert spdx("Apache License, Version 2.0") == spdx("apache-2.0") == "apache-2.0"
    assert contradicts("MIT", "Apache 2.0")
    assert not contradicts("Apache-2.0", "apache 2")
    assert not contradicts("Acme licence", "MIT")
    assert not contradicts(None, "MIT")


def index(*values: str) -> str:
    """Front matter with a model-index that states these accuracies."""
    metrics = ", ".join(f"{{metrics: [{{type: accuracy, value: {value}}}]}}" for value in values)
    return f"---\nmodel-index: [{{name: m, results: [{metrics}]}}]\n---\n"


SAID: dict[str, tuple[str, ArtifactFacts, bool]] = {
    "exact count": ("Parameters: 1,234", ArtifactFacts("", 1234), False),
    "rounded count": ("Parameters: 1.2K", ArtifactFacts("", 1234), False),
    "words": ("Number of parameters: 124 million", ArtifactFacts("", 124_439_808), False),
    "other count": ("Parameters: 2M", ArtifactFacts("", 1234), True),
    "prose": ("Parameters: see below", ArtifactFacts("", 1234), False),
    "nothing to compare": ("Parameters: 2M", ArtifactFacts(), False),
    "same format": ("Format: ONNX (opset 17)", ArtifactFacts("onnx"), False),
    "other format": ("Format: TorchScript", ArtifactFacts("onnx"), True),
    "format unknown": ("Format: ours", ArtifactFacts("onnx"), False),
    "shape, other order": ("Input shape: (8, 8, 1)", ArtifactFacts(), False),
    "shape with batch": ("Input shape: [N, 1, 8, 8]", ArtifactFacts(), False),
    "other shape": ("Input size: 28x28", ArtifactFacts(), True),
    "other classes": ("Classes: 3", ArtifactFacts(), True),
    "named classes": ("Classes: cats and dogs", ArtifactFacts(), False),
    "version": ("Version: v1.2.0", ArtifactFacts(), False),
    "other version": ("Version: 1.3.0", ArtifactFacts(), True),
    "vague version": ("Version: first", ArtifactFacts(), False),
    "size, no version": ("Model version: 1.5 billion parameters", ArtifactFacts(), False),
    "licence as section": ("# Card\n\n## License\nMIT\n", ArtifactFacts(), True),
    "licence as sentence": ("# Card\n\n## License\nSee the MIT file.\n", ArtifactFacts(), False),
    "format as section": ("## Format\n`ONNX`\n", ArtifactFacts("gguf"), True),
    "short version": ("Version: 1.2", ArtifactFacts(), False),
    "version with suffix": ("Version: 1.2.0-rc1", ArtifactFacts(), False),
    "grouped count": ("Parameters: 1 234 567", ArtifactFacts("", 1_234_567), False),
    "count by points": ("Parameters: 1.234.567", ArtifactFacts("", 1_234_567), False),
    "about": ("Parameters: ~39 M", ArtifactFacts("", 39_100_000), False),
    "part of the shape": ("Input size: 8x8", ArtifactFacts(), False),
    "shape as product": ("Input shape: 64", ArtifactFacts(), False),
    "accuracy in percent": ("Accuracy: 98 %", ArtifactFacts(), False),
    "accuracy in words": ("Accuracy: 98.1% top-1", ArtifactFacts(), False),
    "accuracy with comma": ("Accuracy: 98,1 %", ArtifactFacts(), False),
    "accuracy rounded": ("Test accuracy = 0.98", ArtifactFacts(), False),
    "accuracy in a sentence": ("Accuracy 0.981 on 797 images.", ArtifactFacts(), False),
    "accuracy with interval": ("Accuracy: 0.981 (95 % CI 0.97 to 0.99)", ArtifactFacts(), False),
    "accuracy of others": ("Top-5 accuracy: 99.9 %", ArtifactFacts(), False),
    "other accuracy": ("Accuracy: 99.9 %", ArtifactFacts(), True),
    "other accuracy, sentence": ("The accuracy is 91.2 % on forms.", ArtifactFacts(), True),
    "accuracy without number": ("Accuracy: see table 2", ArtifactFacts(), False),
    "epsilon": ("DP epsilon: 3", ArtifactFacts(), False),
    "other epsilon": ("Trained with DP-SGD (epsilon = 8).", ArtifactFacts(), True),
    "epsilon of an attack": ("Epsilon: 0.1 of the input range", ArtifactFacts(), False),
    "licence by address": ("License: https://spdx.org/licenses/Apache-2.0.html", ArtifactFacts(),
                           False),
    "choice of licences": ("License: MIT OR Apache-2.0", ArtifactFacts(), False),
    "other licence": ("License: CC BY-NC 4.0", ArtifactFacts(), True),
    "same data": ("---\ndatasets: [UCI_optical_digits]\n---\n", ArtifactFacts(), False),
    "other data": ("---\ndatasets: [mnist]\n---\n", ArtifactFacts(), True),
    "data in prose": ("Datasets: see the paper", ArtifactFacts(), False),
    "index": (index("98.1"), ArtifactFacts(), False),
    "index, two data sets": (index("71", "0.981"), ArtifactFacts(), False),
    "other index": (index("71"), ArtifactFacts(), True),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_only_certain_contradictions_count(spec: BundleSpec, name: str) -> None:
    line, facts, contradicted = SAID[name]
    card = parse_card(line.encode(), place="card")
    said = facts_of_card(card, paper="card", place="card.md")
    assert bool(list(contradictions(said, spec, facts))) is contradicted


HARMLESS = (
    "Read it as `x = 1`. On click of the button = nothing. See https://a.example/javascript.",
    "The description of a linked form.",
    "Ratios a<b and c>d; onset = 3.",
    "![local](figures/roc.png)",
)


@pytest.mark.parametrize("text", HARMLESS)
def test_plain_prose_is_not_called_active(text: str) -> None:
    assert list(active_content(text)) == []
    assert not remote_images(text)


SLOW = (
    "<" * 100_000, "![" * 50_000, "<a " * 33_000, "**" * 50_000, "a" * 100_000 + ":",
    "-" * 100_000, "<img " + " " * 100_000, "#" * 100_000, "a@" * 50_000, "[" * 100_000,
    "0" * 100_000, "key: " + "1,000" * 20_000, "\n---" * 25_000, "<a" + " on" * 33_000,
    "# a\n## b\n" * 10_000, "x" * 50_000 + "\n" + "a.b" * 20_000, "&#x" * 33_000,
)  # fmt: skip


@pytest.mark.parametrize("text", SLOW)
def test_hostile_cards_take_linear_time(spec: BundleSpec, text: str) -> None:
    start = time.process_time()
    list(card_observations(text.encode(), (), path="card"))
    card = parse_card(text.encode(), place="card")
    facts = list(facts_of_card(card, paper="card", place="card"))
    list(contradictions(facts, spec, ArtifactFacts("onnx", 7)))
    assert time.process_time() - start < 5  # 0.3 s on a quiet machine; squared it takes minutes


def _shared() -> Path:
    folder = os.environ.get("PROOFHOUSE_TEST_DATA")
    if not folder:
        pytest.skip("PROOFHOUSE_TEST_DATA names no folder with the development data")
    return Path(folder) / "governance"


REAL_CARDS = {
    "whisper": {"licence", "contact"},
    "gpt2": {"training_data", "licence"},
    "clip": {"licence"},
    "alpaca": set[str](),
}


@pytest.mark.shared_data
@pytest.mark.parametrize("name", REAL_CARDS)
def test_real_cards_are_read(name: str) -> None:
    card = parse_card((_shared() / f"modelcard-{name}.md").read_bytes(), place=name)
    assert set(missing_topics(card)) <= REAL_CARDS[name] | {"contact"}
    assert list(active_content(card.text)) == []


REAL_BOMS = {
    "cyclonedx-mlbom-1.6": {"other_model", "artifact_not_covered"},
    "cyclonedx-mlbom-1.5": {"other_model", "artifact_not_covered"},
    "aibom-llama-3.2-1b": {"other_model", "artifact_not_covered", "licence_incompatible"},
    "aibom-flux1-dev": {"other_model", "artifact_not_covered"},
    "sbom-dropwizard-1.3.15": {"no_model", "artifact_not_covered", "licence_incompatible"},
}


@pytest.mark.shared_data
@pytest.mark.parametrize("name", REAL_BOMS)
def test_real_boms_are_read(spec: BundleSpec, name: str) -> None:
    from tasks.domain.bundle import FileEntry  # noqa: PLC0415 - one test

    data = (_shared() / f"{name}.json").read_bytes()
    artifact = FileEntry(path="model/digits.bin", digest=f"sha256:{'0' * 64}", size_bytes=1)
    found = list(bom_observations(data, spec, (artifact,), path="bom.json"))
    rules = {item.rule.removeprefix("provenance.bom.") for item in found}
    assert rules - {"file_missing"} == REAL_BOMS[name], found


def _bom(*components: dict[str, object], **more: object) -> bytes:
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}
    return json.dumps(head | {"components": components} | more).encode()


def _library(**more: object) -> dict[str, object]:
    return {"type": "library", "name": "x"} | more


def _link(url: str) -> dict[str, object]:
    return {"type": "website", "url": url}


HOSTILE_BOMS = {
    "many components": _bom(*(_library(version=str(n)) for n in range(3000))),
    "many slow addresses": _bom(
        _library(externalReferences=[_link("http://" + "a" * 1900 + str(n)) for n in range(50)])
    ),
    "one long address": _bom(_library(externalReferences=[_link("a:" * 300_000)])),
    "long mail": _bom(_library(authors=[{"name": "x", "email": "a@" * 100_000}])),
    "long serial": _bom(serialNumber="urn:uuid:" + "0" * 500_000),
    "the same twice": _bom(_library(), _library()),
    "a list": b"[]",
    "a number for components": b'{"bomFormat":"CycloneDX","specVersion":"1.6","components":3}',
}


@pytest.mark.parametrize("name", HOSTILE_BOMS)
def test_hostile_boms_are_judged_in_bounded_time(spec: BundleSpec, name: str) -> None:
    list(bom_observations(_bom(), spec, (), path="bom.json"))  # pays for the imports
    start = time.process_time()
    found = list(bom_observations(HOSTILE_BOMS[name], spec, (), path="bom.json"))
    assert time.process_time() - start < 8
    assert found[0].rule in {"provenance.bom.no_model", "provenance.bom.unreadable"}
    assert all(item.detail.isprintable() for item in found)
