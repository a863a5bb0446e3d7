"""Attestations count when somebody trusted signed them over these bytes; gaps are named."""

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain.bundle import BundleSpec, FileEntry
from tasks.domain.digest import digest_of, hexadecimal
from tasks.domain.errors import InvalidInputError, SigningError
from tasks.intake.attestation import parse_attestation, read_signed
from tasks.intake.attesting import signed_line, slsa_statement
from tasks.intake.lineage import judge_lineage
from tasks.intake.manifest import parse_manifest
from tasks.intake.trust import TrustedKeys, VendorTrust, read_trusted
from tasks.intake.writing import make_vendor_key
from tests.simulators.sigstore import ISSUER, Instance
from tests.tasks.intake.bundles import manifest

DATA = {"model/digits.bin": b"weights", "data/eval.npz": b"eval", "data/train.npz": b"train"}
FILES = tuple(
    FileEntry(path=path, digest=digest_of(data), size_bytes=len(data))
    for path, data in DATA.items()
)
COMMIT = "c" * 40
BUILDER = "https://build.acme.example/trainer@v2"


def named(path: str, digest: str | None = None) -> dict[str, Any]:
    return {"name": path, "digest": {"sha256": digest or hexadecimal(digest_of(DATA[path]))}}


def statement(**changed: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "subjects": [named("model/digits.bin")],
        "builder": BUILDER,
        "build_type": "https://acme.example/training/v1",
        "parameters": {"preprocessing": {"scale": 16}, "trainer": {"epochs": 40}},
        "dependencies": [
            {"uri": "git+https://git.acme.example/digits", "digest": {"gitCommit": COMMIT}},
            named("data/train.npz"),
        ],
    }
    return slsa_statement(**(whole | changed))


class Bench:
    """A vendor's key that is trusted, one that is not, and the manifest."""

    def __init__(self, tmp_path: Path) -> None:
        self.key, self.stranger = tmp_path / "acme.pem", tmp_path / "stranger.pem"
        public = make_vendor_key(self.key)
        make_vendor_key(self.stranger)
        self.trusted = read_trusted((public,))
        value = manifest()
        value["data"]["training"] = {"path": "data/train.npz"}
        self.spec: BundleSpec = parse_manifest(yaml.safe_dump(value).encode())

    def seen(self, text: str | bytes, trusted: TrustedKeys | None = None) -> dict[str, str]:
        data = text.encode() if isinstance(text, str) else text
        found = judge_lineage(data, self.spec, FILES, trusted or self.trusted, path="lineage.jsonl")
        assert all(item.detail.isprintable() for item in found)
        prefix = "provenance.lineage."
        return {item.rule.removeprefix(prefix): item.severity.value for item in found}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_whole_lineage_leaves_nothing_open(bench: Bench) -> None:
    assert bench.seen(signed_line(statement(), bench.key)) == {"verified": "info"}


def test_model_and_data_may_have_statements_of_their_own(bench: Bench) -> None:
    code = {"uri": "git+https://git.acme.example/digits", "digest": {"gitCommit": COMMIT}}
    model = statement(dependencies=[code, {"name": "uci-digits", "uri": "https://data.example"}])
    data = statement(subjects=[named("data/train.npz")])
    lines = signed_line(model, bench.key) + signed_line(data, bench.key)
    assert bench.seen(lines) == {"verified": "info"}
    assert "training_data_not_covered" in bench.seen(signed_line(model, bench.key))


GAPS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "another file": ({"subjects": [{"name": "other", "digest": {"sha256": "0" * 64}}]},
                     {"artifact_not_covered": "medium"}),
    "other bytes": ({"subjects": [named("model/digits.bin", "0" * 64)]},
                    {"artifact_not_covered": "medium", "subject_mismatch": "high"}),
    "other bytes, short name": ({"subjects": [{"name": "digits.bin",
                                               "digest": {"sha256": "0" * 64}}]},
                                {"artifact_not_covered": "medium", "subject_mismatch": "high"}),
    "other training data": ({"dependencies": [
        {"uri": "git+https://x.example", "digest": {"sha1": COMMIT}},
        named("data/train.npz", "1" * 64)]},
        {"dependency_mismatch": "high", "training_data_not_covered": "low"}),
    "raw data elsewhere": ({"dependencies": [
        {"uri": "git+https://x.example", "digest": {"sha1": COMMIT}}, named("data/train.npz"),
        {"uri": "https://data.example/train.npz", "digest": {"sha256": "2" * 64}}]}, {}),
    "no builder": ({"builder": ""}, {"no_builder": "low"}),
    "no commit": ({"dependencies": [named("data/train.npz")]}, {"no_commit": "low"}),
    "no preprocessing": ({"parameters": {"trainer": "sgd"}}, {"no_preprocessing": "low"}),
    "no trainer": ({"parameters": {"preprocessing": "scale"}, "build_type": "x"},
                   {"no_trainer": "low"}),
    "no dependencies": ({"dependencies": []}, {
        "no_commit": "low", "no_training_data": "low", "training_data_not_covered": "low"}),
}  # fmt: skip


@pytest.mark.parametrize("name", GAPS)
def test_what_a_lineage_lacks_or_gets_wrong_is_named(bench: Bench, name: str) -> None:
    changed, wanted = GAPS[name]
    found = bench.seen(signed_line(statement(**changed), bench.key))
    assert found == wanted | {"verified": "info"}


def test_only_trusted_signatures_prove_anything(bench: Bench) -> None:
    uncovered = {"artifact_not_covered": "medium", "training_data_not_covered": "low"}
    assert bench.seen(json.dumps(statement())) == uncovered | {"unsigned": "medium"}
    strange = signed_line(statement(), bench.stranger)
    assert bench.seen(strange) == uncovered | {"unknown_key": "medium"}
    envelope = json.loads(signed_line(statement(), bench.key))
    payload = json.dumps(statement(builder="https://evil.example")).encode()
    envelope["payload"] = base64.b64encode(payload).decode()
    assert bench.seen(json.dumps(envelope)) == uncovered | {"unknown_key": "medium"}


def test_a_second_signature_may_be_the_trusted_one(bench: Bench) -> None:
    strange, own = (json.loads(signed_line(statement(), k)) for k in (bench.stranger, bench.key))
    strange["signatures"] += own["signatures"]
    assert bench.seen(json.dumps(strange)) == {"verified": "info"}


def test_keys_and_builders_are_bound_to_vendors(bench: Bench) -> None:
    line = signed_line(statement(), bench.key)
    other = bench.trusted._replace(vendors={"Acme Vision": VendorTrust(keys=("another",))})
    assert bench.seen(line, other)["wrong_identity"] == "high"
    own = VendorTrust(keys=("acme",), builders=(BUILDER,))
    assert bench.seen(line, bench.trusted._replace(vendors={"Acme Vision": own})) == {
        "verified": "info"
    }
    foreign = VendorTrust(keys=("acme",), builders=("https://build.other.example",))
    found = bench.seen(line, bench.trusted._replace(vendors={"Acme Vision": foreign}))
    assert found["unknown_builder"] == "high"


def test_keyless_attestations_are_verified_offline(bench: Bench, tmp_path: Path) -> None:
    instance = Instance()
    root = instance.write_root(tmp_path / "sigstore.json")
    identities = tmp_path / "identities.yaml"
    named = {"identity": "ci@acme.example", "issuer": ISSUER}
    identities.write_text(json.dumps({"vendors": {"Acme Vision": {"identities": [named]}}}))
    trusted = read_trusted((root, identities))
    payload = json.dumps(statement()).encode()
    ours = json.dumps(instance.sign(payload, identity="ci@acme.example"))
    assert bench.seen(ours, trusted) == {"verified": "info"}
    theirs = json.dumps(instance.sign(payload, identity="ci@other.example"))
    assert bench.seen(theirs, trusted)["wrong_identity"] == "high"
    unknown = json.dumps(Instance().sign(payload, identity="ci@acme.example"))
    assert bench.seen(unknown, trusted)["unknown_key"] == "medium"


def test_the_older_predicate_is_understood(bench: Bench) -> None:
    old = statement() | {
        "predicateType": "https://slsa.dev/provenance/v0.2",
        "predicate": {
            "builder": {"id": BUILDER},
            "buildType": "https://acme.example/training/v1",
            "invocation": {"parameters": {"normalise": True, "epochs": 3}},
            "materials": [
                {"uri": "git+https://git.acme.example/digits@main", "digest": {"sha1": COMMIT}},
                {"uri": "data/train.npz", "digest": named("data/train.npz")["digest"]},
            ],
            "metadata": {"buildStartedOn": "2026-02-01T00:00:00Z",
                         "buildFinishedOn": "2026-01-01T00:00:00Z"},
        },
    }  # fmt: skip
    found = bench.seen(signed_line(old, bench.key))
    assert found == {"verified": "info", "odd_times": "low"}


def test_other_predicates_are_named_and_prove_no_origin(bench: Bench) -> None:
    other = statement() | {"predicateType": "https://in-toto.io/attestation/test-result/v0.1"}
    found = bench.seen(signed_line(other, bench.key))
    assert found["other_predicate"] == "info"
    assert found["artifact_not_covered"] == "medium"


REFUSED: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "text": lambda: b"built by us",
    "a number": lambda: b"3",
    "a list of numbers": lambda: b"[1]",
    "another type": lambda: b'{"payloadType": "text/plain", "payload": "", "signatures": []}',
    "not base64": lambda: b'{"payloadType": "application/vnd.in-toto+json", "payload": "\xc2\xa7"}',
    "no subject": lambda: json.dumps(statement(subjects=[])).encode(),
    "deep": lambda: b'{"_type":' + b"[" * 5_000,
    "many": lambda: (json.dumps(statement()) + "\n").encode() * 101,
    "not UTF-8": lambda: b"\xff{}",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_attestation_is_a_finding(bench: Bench, name: str) -> None:
    start = time.process_time()
    assert bench.seen(REFUSED[name]()) == {"unreadable": "medium"}
    assert time.process_time() - start < 1


JSON = st.recursive(
    st.none() | st.integers(-3, 3) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["name", "uri", "digest", "sha256", "buildDefinition", "runDetails",
                         "builder", "id", "resolvedDependencies", "externalParameters",
                         "materials", "metadata", "startedOn"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(JSON, JSON)
@settings(max_examples=150, deadline=None)
def test_odd_statements_are_read_or_refused(subject: Any, predicate: Any) -> None:
    value = statement() | {"subject": subject, "predicate": predicate}
    try:
        found = parse_attestation(json.dumps(value).encode(), place="x")
    except InvalidInputError:
        return
    assert found.subjects


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        read_signed(data, place="x")


def test_public_keys_sign_nothing(tmp_path: Path) -> None:
    public = make_vendor_key(tmp_path / "acme.pem")
    with pytest.raises(SigningError, match=r"acme\.pub"):
        signed_line(statement(), public)
