"""``bundle.yaml``: what is refused, with which words, and what is only noted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tasks.domain.bundle import BundlePath
from tasks.domain.digest import digest_of_file
from tasks.domain.errors import InvalidInputError
from tasks.intake.manifest import parse_manifest
from tests.tasks.intake.bundles import make_bundle, manifest, rules, take_in, write_manifest

Change = Callable[[dict[str, Any]], object]

BROKEN: dict[str, tuple[Change, str]] = {
    "unknown key": (lambda m: m.update(colour="red"), "colour: unknown key"),
    "unknown key below": (lambda m: m["model"].update(sise=3), r"model\.sise: unknown key"),
    "missing key": (lambda m: m.pop("vendor"), "vendor: required key is missing"),
    "other schema": (lambda m: m.update(schema="proofhouse.bundle/9"), "schema: "),
    "number for text": (lambda m: m["model"].update(version=1.2), "put it in quotes"),
    "escape": (lambda m: m["model"].update(artifact="../../etc/passwd"), "inside the bundle"),
    "absolute": (lambda m: m["model"].update(artifact="/etc/passwd"), "inside the bundle"),
    "windows": (lambda m: m["model"].update(artifact="..\\x"), "inside the bundle"),
    "drive": (lambda m: m["model"].update(artifact="C:/x"), "inside the bundle"),
    "control": (lambda m: m["model"].update(artifact="a\nb"), "inside the bundle"),
    "no artifact": (lambda m: m["model"].pop("artifact"), "artifact or an endpoint"),
    "file endpoint": (
        lambda m: m["model"].update(endpoint={"url": "file:///etc/passwd"}), "endpoint.url"),
    "no classes": (lambda m: m["model"]["output"].pop("classes"), "output.classes"),
    "two billion dims": (lambda m: m["model"]["input"].update(shape=[2**31]), "input.shape"),
    "empty range": (lambda m: m["model"]["input"].update(range=[1, 1]), "is empty"),
    "zero std": (lambda m: m["model"]["input"].update(std=[0]), "std"),
    "an empty one": (lambda m: m.clear(), "required key is missing"),
    "bad digest": (lambda m: m.update(digests={"bundle.yaml": "md5:1"}), "digests"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_manifest_is_refused_in_one_readable_message(tmp_path: Path, name: str) -> None:
    change, words = BROKEN[name]
    value = manifest()
    change(value)
    with pytest.raises(InvalidInputError, match=words) as caught:
        take_in(make_bundle(tmp_path / "b", value), tmp_path / "w")
    assert caught.value.message.startswith("bundle.yaml cannot be used")
    assert caught.value.message.isprintable()


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    value = manifest()
    value["colour"] = "red"
    value["model"]["task"] = "divination"
    del value["vendor"]["contact"]
    with pytest.raises(InvalidInputError) as caught:
        take_in(make_bundle(tmp_path / "b", value), tmp_path / "w")
    for words in ("colour", "model.task", "vendor.contact"):
        assert words in caught.value.message


@pytest.mark.parametrize("text", [b"", b"[]", b"just words", b"- a\n- b"])
def test_a_manifest_is_a_mapping(text: bytes) -> None:
    with pytest.raises(InvalidInputError, match="must be a mapping"):
        parse_manifest(text)


def test_missing_files_are_named_with_their_keys(tmp_path: Path) -> None:
    value = manifest()
    value["documents"] = {"bom": "bom.json", "model_card": "card.md"}
    folder = make_bundle(tmp_path / "b", value)
    (folder / "data" / "eval.npz").unlink()
    with pytest.raises(InvalidInputError) as caught:
        take_in(folder, tmp_path / "w")
    for words in ("documents.bom names bom.json", "documents.model_card", "data.evaluation.path"):
        assert words in caught.value.message


@pytest.mark.parametrize("place", ["empty", "nothing", "fifo"])
def test_what_is_no_bundle_is_refused(tmp_path: Path, place: str) -> None:
    import os  # noqa: PLC0415 - one test

    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InvalidInputError, match=r"bundle\.yaml"):
        take_in(tmp_path / place, tmp_path / "w")


def test_digests_in_the_manifest_are_compared_with_the_bytes(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "b")
    value = manifest()
    artifact = folder / "model" / "digits.bin"
    value["digests"] = {
        "model/digits.bin": digest_of_file(artifact),
        "data/eval.npz": digest_of_file(folder / "data" / "eval.npz"),
    }
    write_manifest(folder, value)
    assert not [r for r in rules(take_in(folder, tmp_path / "w")) if "manifest" in r]

    artifact.write_bytes(b"other")
    (folder / "extra.txt").write_text("x")
    value["digests"]["gone.bin"] = "sha256:" + "0" * 64
    write_manifest(folder, value)
    seen = rules(take_in(folder, tmp_path / "w"))
    assert seen["provenance.manifest.digest_mismatch"] == "high"
    assert seen["provenance.manifest.missing_file"] == "high"
    assert seen["provenance.manifest.unlisted_file"] == "medium"


DECEPTIVE = {"Acme\u202eemcA": "high", "Acme\x1b[31m": "high", "\u0410cme": "medium"}


@pytest.mark.parametrize("vendor", DECEPTIVE)
def test_names_that_deceive_are_noted_and_shown_escaped(tmp_path: Path, vendor: str) -> None:
    value = manifest()
    value["vendor"]["name"] = vendor
    subject = take_in(make_bundle(tmp_path / "b", value), tmp_path / "w")
    assert rules(subject)["provenance.manifest.deceptive_name"] == DECEPTIVE[vendor]
    assert all(item.detail.isascii() for item in subject.observations)


@given(st.text(max_size=30) | st.lists(st.sampled_from(["..", ".", "a", "", "b\\c"])).map("/".join))
@settings(max_examples=200, deadline=None)
def test_a_path_of_a_bundle_cannot_leave_it(path: str) -> None:
    import os  # noqa: PLC0415 - one test

    try:
        accepted = TypeAdapter(BundlePath).validate_python(path)
    except ValidationError:
        return
    normal = os.path.normpath(f"/bundle/{accepted}")
    assert normal == f"/bundle/{accepted}"
