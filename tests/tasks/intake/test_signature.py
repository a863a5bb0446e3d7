"""Certificates, odd statements and the operator's own keys."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tasks.domain.errors import InvalidInputError, SigningError
from tasks.intake.envelope import parse_envelope, parse_statement
from tasks.intake.signature import read_trusted
from tasks.intake.writing import make_vendor_key, sign_model
from tests.tasks.intake.bundles import make_bundle, manifest, rules, take_in, write_manifest
from tests.tasks.intake.certificates import certificate


def test_certificates_count_when_their_authority_is_trusted(tmp_path: Path) -> None:
    from model_signing import hashing, signing  # noqa: PLC0415 - half a second for this test only

    authority = certificate(tmp_path, "authority", None)
    certificate(tmp_path, "acme", authority)
    certificate(tmp_path, "stranger", None)
    value = manifest()
    value["signature"] = {"path": "model.sig", "method": "certificate"}
    folder = make_bundle(tmp_path / "b", value)
    ignoring = hashing.Config()  # type: ignore[no-untyped-call]  # no types there
    ignoring.set_ignored_paths(paths=["model.sig"], ignore_git_paths=False)
    config = signing.Config()  # type: ignore[no-untyped-call]  # no types there
    config.use_certificate_signer(
        private_key=tmp_path / "acme.key",
        signing_certificate=tmp_path / "acme.pem",
        certificate_chain=[tmp_path / "authority.pem"],
    )
    config.set_hashing_config(ignoring).sign(folder, folder / "model.sig")

    def seen(*trusted: str) -> dict[str, str]:
        paths = tuple(tmp_path / f"{name}.pem" for name in trusted)
        return rules(take_in(folder, tmp_path / "w", trusted=paths))

    assert "provenance.signature.valid" in seen("authority")
    assert "provenance.signature.unknown_key" in seen()
    assert "provenance.signature.unknown_key" in seen("stranger")
    (folder / "model" / "digits.bin").write_bytes(b"other")
    assert "provenance.signature.invalid" in seen("authority")


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def test_every_curve_of_the_standard_is_verified(tmp_path: Path, curve: Any) -> None:
    key = ec.generate_private_key(curve())
    (tmp_path / "key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public = tmp_path / "key.pub"
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    value = manifest()
    value["signature"] = {"path": "model.sig"}
    folder = make_bundle(tmp_path / "b", value)
    sign_model(folder, tmp_path / "key")
    seen = rules(take_in(folder, tmp_path / "w", trusted=(public,)))
    assert "provenance.signature.valid" in seen


def test_a_lone_file_can_be_signed(tmp_path: Path) -> None:
    public = make_vendor_key(tmp_path / "key")
    value = manifest()
    value["signature"] = {"path": "model/digits.sig"}
    folder = make_bundle(tmp_path / "b", value)
    from model_signing import signing  # noqa: PLC0415 - half a second for this test only

    config = signing.Config()  # type: ignore[no-untyped-call]  # no types there
    config.use_elliptic_key_signer(private_key=tmp_path / "key")
    config.sign(folder / "model" / "digits.bin", folder / "model" / "digits.sig")
    seen = rules(take_in(folder, tmp_path / "w", trusted=(public,)))
    assert "provenance.signature.valid" in seen
    (folder / "model" / "digits.bin").write_bytes(b"other")
    seen = rules(take_in(folder, tmp_path / "w", trusted=(public,)))
    assert seen["provenance.signature.invalid"] == "critical"


def test_what_the_signer_ignored_is_told_and_the_artifact_may_not_be(tmp_path: Path) -> None:
    from model_signing import hashing, signing  # noqa: PLC0415 - half a second for this test only

    public = make_vendor_key(tmp_path / "key")
    value = manifest()
    value["signature"] = {"path": "model.sig"}
    folder = make_bundle(tmp_path / "b", value)
    ignoring = hashing.Config()  # type: ignore[no-untyped-call]  # no types there
    ignoring.set_ignored_paths(paths=["model.sig", "model"])
    config = signing.Config()  # type: ignore[no-untyped-call]  # no types there
    config.use_elliptic_key_signer(private_key=tmp_path / "key")
    config.set_hashing_config(ignoring).sign(folder, folder / "model.sig")
    seen = rules(take_in(folder, tmp_path / "w", trusted=(public,)))
    assert seen["provenance.signature.artifact_not_covered"] == "high"


def _signed(folder: Path, tmp_path: Path) -> dict[str, Any]:
    make_vendor_key(tmp_path / "key")
    place = sign_model(folder, tmp_path / "key")
    value: dict[str, Any] = json.loads(place.read_text())
    return value


@pytest.fixture
def bundle(tmp_path: Path) -> dict[str, Any]:
    return _signed(make_bundle(tmp_path / "b"), tmp_path)


ODD: dict[str, dict[str, Any]] = {
    "other payload type": {"payloadType": "text/plain"},
    "no payload": {"payload": None},
    "not base64": {"payload": "§§§"},
    "empty signature list": {"signatures": []},
}


@pytest.mark.parametrize("name", ODD)
def test_odd_envelopes_are_refused(bundle: dict[str, Any], name: str) -> None:
    assert parse_envelope(json.dumps(bundle).encode()).signature
    bundle["dsseEnvelope"] |= ODD[name]
    with pytest.raises(InvalidInputError):
        parse_envelope(json.dumps(bundle).encode())


STATEMENTS: dict[str, tuple[tuple[str | int, ...], Any]] = {
    "other statement": (("_type",), "https://in-toto.io/Statement/v0.1"),
    "other predicate": (("predicateType",), "https://slsa.dev/provenance/v1"),
    "no resources": (("predicate", "resources"), []),
    "other root": (("subject", 0, "digest", "sha256"), "0" * 64),
    "no hexadecimal": (("predicate", "resources", 0, "digest"), "zz"),
    "listed twice": (("predicate", "resources", 0, "name"), "data/eval.npz"),
    "other method": (("predicate", "serialization", "method"), "guess"),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_odd_statements_are_refused(bundle: dict[str, Any], name: str) -> None:
    payload = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    assert parse_statement(json.dumps(payload).encode()).plain
    path, value = STATEMENTS[name]
    at: Any = payload
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    with pytest.raises(InvalidInputError):
        parse_statement(json.dumps(payload).encode())


def test_the_operators_own_mistakes_are_errors_not_findings(tmp_path: Path) -> None:
    (tmp_path / "text.pub").write_text("no key")
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    (tmp_path / "rsa.pub").write_bytes(
        other.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    for name in ("text.pub", "rsa.pub", "nowhere.pub"):
        with pytest.raises(SigningError, match=name):
            read_trusted([tmp_path / name])


def test_private_keys_are_for_the_owner_alone_and_never_overwritten(tmp_path: Path) -> None:
    public = make_vendor_key(tmp_path / "keys" / "acme")
    assert (tmp_path / "keys" / "acme").stat().st_mode & 0o777 == 0o600
    assert public == tmp_path / "keys" / "acme.pub"
    with pytest.raises(FileExistsError):
        make_vendor_key(tmp_path / "keys" / "acme")


def test_a_changed_manifest_breaks_the_signature(tmp_path: Path) -> None:
    public = make_vendor_key(tmp_path / "key")
    value = manifest()
    value["signature"] = {"path": "model.sig"}
    folder = make_bundle(tmp_path / "b", value)
    sign_model(folder, tmp_path / "key")
    value["claims"] = {"accuracy": 1.0}
    write_manifest(folder, value)
    seen = rules(take_in(folder, tmp_path / "w", trusted=(public,)))
    assert seen["provenance.signature.invalid"] == "critical"
