"""Honest papers are believed; each lie is found, and each only once made."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import yaml

from tasks.intake.questionnaire import read_questionnaire
from tasks.intake.writing import make_vendor_key, sign_model, write_bom
from tests.tasks.intake.bundles import make_bundle, manifest, rules, take_in, write_manifest

CARD = """---
license: apache-2.0
---
# Model card: digit reader 1.2.0

## Intended use
Reading digits on forms.

## Training data
Scanned digits.

## Evaluation
| fact | value |
| --- | --- |
| Parameters | 650 |
| Classes | 10 |
| Input shape | 1x8x8 |
| Format | safetensors |

## Limitations
Only single digits.

## Contact
security@acme.example

SHA-256 of digits.safetensors: {digest}
"""
SHEET = "# Datasheet: digits\n" + "".join(
    f"\n## {heading}\nScanned digits.\n"
    for heading in ("Why", "Content", "Sources", "Labels", "Tasks", "Licence", "Contact")
)
YES = {"supply.bom", "supply.signed", "supply.safe_format", "papers.model_card",
       "quality.evaluation_data", "quality.accuracy_stated", "origin.licence_stated",
       "origin.data_rights", "service.right_to_audit"}  # fmt: skip


def answers() -> dict[str, Any]:
    given: dict[str, Any] = {}
    for question in read_questionnaire().questions:
        if question.kind == "yes_no":
            given[question.id] = question.id in YES
        elif question.kind == "choice":
            given[question.id] = question.choices[0]
        else:
            given[question.id] = 12 if question.kind == "count" else "written down elsewhere"
    given["papers.datasheet"] = True
    return given


class Vendor:
    """Builds a bundle with every paper, then signs it; tests change it in between or after."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = make_bundle(tmp_path / "bundle")
        self.key = tmp_path / "vendor"
        self.public = make_vendor_key(self.key)
        self.spec = manifest()
        (self.folder / "model" / "digits.bin").unlink()
        weights = {"w": np.ones((10, 64), np.float32), "b": np.zeros(10, np.float32)}
        artifact = self.folder / "model" / "digits.safetensors"
        artifact.write_bytes(safetensors.numpy.save(weights))
        self.spec["model"]["artifact"] = "model/digits.safetensors"
        self.spec["documents"] = {
            "model_card": "docs/card.md",
            "datasheet": "docs/datasheet.md",
            "bom": "bom.cdx.json",
            "questionnaire": "questionnaire.yaml",
        }
        self.spec["signature"] = {"path": "model.sig", "method": "key"}
        self.spec["claims"] = {"accuracy": 0.9, "licence": "Apache-2.0"}
        self.answers = answers()
        self.card = CARD.replace("{digest}", _sha256(artifact))
        self.bom: Callable[[dict[str, Any]], None] = lambda _: None

    def sign(self) -> None:
        docs = self.folder / "docs"
        docs.mkdir(exist_ok=True)
        (docs / "card.md").write_text(self.card, encoding="utf-8")
        (docs / "datasheet.md").write_text(SHEET, encoding="utf-8")
        text = yaml.safe_dump({"questionnaire": "vendor.standard", "answers": self.answers})
        (self.folder / "questionnaire.yaml").write_text(text, encoding="utf-8")
        write_manifest(self.folder, self.spec)
        (self.folder / "model.sig").touch()
        place = write_bom(self.folder)
        bom = json.loads(place.read_text())
        self.bom(bom)
        place.write_text(json.dumps(bom))
        sign_model(self.folder, self.key)


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path)


def _sha256(path: Path) -> str:
    from tasks.domain.digest import digest_of_file, hexadecimal  # noqa: PLC0415

    return hexadecimal(digest_of_file(path))


def found(vendor: Vendor, tmp_path: Path, *, trusted: bool = True) -> dict[str, str]:
    subject = take_in(vendor.folder, tmp_path / "w", trusted=(vendor.public,) if trusted else ())
    return rules(subject)


def test_an_honest_bundle_with_all_papers_has_nothing_against_it(
    vendor: Vendor, tmp_path: Path
) -> None:
    vendor.sign()
    subject = take_in(vendor.folder, tmp_path / "w", trusted=(vendor.public,))

    assert rules(subject) == {
        "provenance.signature.valid": "info",
        "provenance.bom.matches": "info",
        "provenance.lineage.absent": "low",
        "provenance.croissant.absent": "info",
        "provenance.advisories.no_source": "info",
    }, subject.observations
    assert subject.facts == {"artifact_format": "safetensors", "parameters": 650}
    assert subject.answers["use.impact"] == "none"
    assert subject.answers["supply.signed"] is True


def _change(vendor: Vendor) -> None:
    path = vendor.folder / "model" / "digits.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")


TAMPERED: dict[str, tuple[Callable[[Vendor], object], str]] = {
    "a weight changed": (_change, "differ"),
    "a file added": (lambda v: (v.folder / "model" / "x.txt").write_text("x"), "added"),
    "a file removed": (lambda v: (v.folder / "docs" / "note.md").unlink(), "missing"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_bytes_that_changed_after_signing_break_the_signature(
    vendor: Vendor, tmp_path: Path, name: str
) -> None:
    tamper, word = TAMPERED[name]
    (vendor.folder / "docs").mkdir()
    (vendor.folder / "docs" / "note.md").write_text("note")
    vendor.sign()
    tamper(vendor)

    subject = take_in(vendor.folder, tmp_path / "w", trusted=(vendor.public,))

    broken = [o for o in subject.observations if o.rule == "provenance.signature.invalid"]
    assert [item.severity.value for item in broken] == ["critical"]
    assert word in broken[0].detail


def test_a_signature_by_an_unknown_key_is_not_believed(vendor: Vendor, tmp_path: Path) -> None:
    vendor.sign()
    assert found(vendor, tmp_path, trusted=False)["provenance.signature.unknown_key"] == "high"

    stranger = make_vendor_key(tmp_path / "stranger")
    subject = take_in(vendor.folder, tmp_path / "w", trusted=(stranger,))
    assert "provenance.signature.unknown_key" in rules(subject)


UNREADABLE: dict[str, bytes] = {
    "nothing": b"",
    "text": b"signed, Acme",
    "other json": b"{}",
    "deep json": b"[" * 100_000,
    "no signatures": b'{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":'
    b'{"payload":"","payloadType":"application/vnd.in-toto+json","signatures":[]}}',
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_signature_is_called_unreadable(
    vendor: Vendor, tmp_path: Path, name: str
) -> None:
    vendor.sign()
    (vendor.folder / "model.sig").write_bytes(UNREADABLE[name])
    assert found(vendor, tmp_path)["provenance.signature.unreadable"] == "high"


def test_a_second_signature_in_the_envelope_is_refused(vendor: Vendor, tmp_path: Path) -> None:
    vendor.sign()
    path = vendor.folder / "model.sig"
    value = json.loads(path.read_text())
    value["dsseEnvelope"]["signatures"] *= 2
    path.write_text(json.dumps(value))
    assert "provenance.signature.unreadable" in found(vendor, tmp_path)


def test_a_signature_over_the_model_folder_alone_counts_and_says_what_it_leaves_out(
    vendor: Vendor, tmp_path: Path
) -> None:
    vendor.sign()
    (vendor.folder / "model.sig").unlink()
    made = sign_model(vendor.folder / "model", vendor.key)
    made.rename(vendor.folder / "model.sig")

    seen = found(vendor, tmp_path)

    assert "provenance.signature.valid" in seen
    assert seen["provenance.signature.unsigned_files"] == "low"


def test_a_signature_that_leaves_out_the_artifact_is_not_enough(
    vendor: Vendor, tmp_path: Path
) -> None:
    vendor.sign()
    (vendor.folder / "model.sig").unlink()
    made = sign_model(vendor.folder / "docs", vendor.key)
    made.rename(vendor.folder / "model.sig")
    seen = found(vendor, tmp_path)
    assert "provenance.signature.valid" not in seen
    assert seen["provenance.signature.artifact_not_covered"] == "high"


def test_shards_and_other_hashes_are_verified_by_the_library(
    vendor: Vendor, tmp_path: Path
) -> None:
    from model_signing import hashing, signing  # noqa: PLC0415 - half a second for this test only

    vendor.sign()
    place = vendor.folder / "model.sig"
    place.unlink()
    shards = hashing.Config().use_shard_serialization(shard_size=1000)  # type: ignore[no-untyped-call]  # no types there
    shards.set_ignored_paths(paths=["model.sig"], ignore_git_paths=False)
    config = signing.Config().use_elliptic_key_signer(private_key=vendor.key)  # type: ignore[no-untyped-call]  # no types there
    config.set_hashing_config(shards).sign(vendor.folder, place)

    assert "provenance.signature.valid" in found(vendor, tmp_path)
    _change(vendor)
    assert "provenance.signature.invalid" in found(vendor, tmp_path)


def test_keyless_signatures_are_said_to_be_out_of_reach(vendor: Vendor, tmp_path: Path) -> None:
    vendor.spec["signature"]["method"] = "sigstore"
    vendor.sign()
    assert found(vendor, tmp_path)["provenance.signature.not_available"] == "medium"


def _set(*path: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(bom: dict[str, Any]) -> None:
        at: Any = bom
        for part in path[:-1]:
            at = at[part]
        at[path[-1]] = value

    return change


BOM_LIES: dict[str, tuple[Callable[[dict[str, Any]], None], str, str]] = {
    "other digest of the model": (
        _set("components", 0, "hashes", 0, "content", value="0" * 64), "digest_mismatch", "high"),
    "other digest of the data": (
        _set("components", 1, "hashes", 0, "content", value="1" * 64), "digest_mismatch", "high"),
    "other version": (_set("components", 0, "version", value="9.9"), "version_mismatch", "high"),
    "other licence": (
        _set("components", 0, "licenses", value=[{"license": {"id": "MIT"}}]),
        "licence_mismatch", "high"),
    "other model": (_set("components", 0, "name", value="cat-finder"), "other_model", "medium"),
    "no digest": (_set("components", 0, "hashes", value=[]), "artifact_not_covered", "medium"),
    "no model": (_set("components", 0, "type", value="library"), "no_model", "medium"),
    "not valid": (_set("components", 0, "colour", value="red"), "unreadable", "medium"),
    "not CycloneDX": (_set("bomFormat", value="SPDX"), "unreadable", "medium"),
    "future version": (_set("specVersion", value="99.0"), "unreadable", "medium"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOM_LIES)
def test_a_bom_that_lies_or_says_nothing_is_found_out(
    vendor: Vendor, tmp_path: Path, name: str
) -> None:
    change, rule, severity = BOM_LIES[name]
    vendor.bom = change
    vendor.sign()
    seen = found(vendor, tmp_path)
    assert seen[f"provenance.bom.{rule}"] == severity
    assert "provenance.signature.valid" in seen
    assert "provenance.bom.matches" not in seen


CARD_LIES: dict[str, tuple[str, str, str, str]] = {
    "digest": (
        "forms.",
        f"forms.\n\ndigits.safetensors is {'a' * 64}",
        "card.digest_mismatch",
        "high",
    ),
    "accuracy": ("forms.", "forms.\n\nAccuracy: 97 %", "documents.contradiction", "high"),
    "a digest of nothing": ("forms.", f"forms. SHA-256 {'b' * 64}", "card.digest_mismatch", "high"),
    "licence": ("license: apache-2.0", "license: cc-by-nc-4.0", "documents.contradiction", "high"),
    "parameters": (
        "| Parameters | 650 |",
        "- **Parameters:** 1.5M",
        "documents.contradiction",
        "high",
    ),
    "classes": ("| Classes | 10 |", "Number of classes: 100", "documents.contradiction", "high"),
    "shape": ("1x8x8", "3x224x224", "documents.contradiction", "high"),
    "format": ("| Format | safetensors |", "Format: ONNX", "documents.contradiction", "high"),
    "version": ("forms.", "forms.\n\nModel version: 2.0.1", "documents.contradiction", "high"),
    "script": ("forms.", "forms. <script>alert(1)</script>", "card.active_content", "medium"),
    "handler": ("forms.", "<img src=x onerror=alert(1)>", "card.active_content", "medium"),
    "link": ("forms.", "[read](java&#x73;cript:alert(1))", "card.active_content", "medium"),
    "tracker": ("forms.", "![x](https://tracker.example/p.png)", "card.remote_image", "low"),
    "a topic less": ("## Limitations", "## Weather", "card.no_limitations", "low"),
    "broken front matter": ("license: apache-2.0", "license: [", "card.unreadable", "medium"),
    "empty": (CARD, "", "card.mostly_silent", "medium"),
}


@pytest.mark.parametrize("name", CARD_LIES)
def test_a_card_that_contradicts_the_bytes_is_found_out(
    vendor: Vendor, tmp_path: Path, name: str
) -> None:
    old, new, rule, severity = CARD_LIES[name]
    vendor.card = vendor.card.replace(old, new) if old is not CARD else new
    vendor.sign()
    assert found(vendor, tmp_path)[f"provenance.{rule}"] == severity


ANSWER_LIES: dict[str, tuple[dict[str, Any], str, str]] = {
    "data that is not there": ({"origin.training_data_included": True}, "contradiction", "high"),
    "no where it is yes": ({"supply.signed": "no"}, "contradiction", "medium"),
    "one open": ({"use.impact": None}, "unanswered", "low"),
    "not a choice": ({"use.impact": "catastrophic, lol"}, "unusable_answer", "low"),
    "fewer than nobody": ({"use.users": -1}, "unusable_answer", "low"),
    "unknown question": ({"use.horoscope": "lion"}, "unknown_answer", "low"),
}


@pytest.mark.parametrize("name", ANSWER_LIES)
def test_answers_are_held_against_the_bundle(vendor: Vendor, tmp_path: Path, name: str) -> None:
    changed, rule, severity = ANSWER_LIES[name]
    vendor.answers |= changed
    vendor.sign()
    assert found(vendor, tmp_path)[f"provenance.questionnaire.{rule}"] == severity


def test_a_bundle_without_papers_says_which_are_missing(tmp_path: Path) -> None:
    assert rules(take_in(make_bundle(tmp_path / "b"), tmp_path / "w")) == {
        "provenance.signature.absent": "medium",
        "provenance.model_card.absent": "medium",
        "provenance.bom.absent": "low",
        "provenance.questionnaire.absent": "low",
        "provenance.datasheet.absent": "low",
        "provenance.lineage.absent": "low",
        "provenance.croissant.absent": "info",
        "provenance.dependencies.absent": "info",
        "provenance.advisories.no_source": "info",
    }
