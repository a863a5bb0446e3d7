"""Signatures made here are read by the ``model_signing`` command, and the other way round."""

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from tasks.domain.errors import SigningError
from tasks.intake.trust import read_trusted, trust_files
from tasks.intake.writing import SigningKey, make_vendor_key, sign_model
from tests.simulators.sigstore import ISSUER, Instance
from tests.tasks.intake.bundles import make_bundle, manifest, rules, take_in
from tests.tasks.intake.certificates import Authority, certificate

PREFIX = "provenance.signature."
IDENTITY = "release@acme.example"


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "model_signing", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)


def states(bundle: Path, workspace: Path, *trusted: Path) -> dict[str, str]:
    seen = rules(take_in(bundle, workspace, trusted=trusted))
    return {name.removeprefix(PREFIX): how for name, how in seen.items() if PREFIX in name}


def bundle(folder: Path, method: str) -> Path:
    value = manifest()
    value["signature"] = {"path": "model.sig", "method": method}
    return make_bundle(folder, value)


def test_the_command_reads_what_is_signed_here(tmp_path: Path) -> None:
    public = make_vendor_key(tmp_path / "acme.pem")
    folder = bundle(tmp_path / "b", "key")
    sign_model(folder, tmp_path / "acme.pem", ignored=["data"])
    line = ("verify", "key", folder, "--signature", folder / "model.sig", "--public_key", public,
            "--ignore-paths", folder / "data")  # fmt: skip

    assert command(*line).returncode == 0, command(*line).stderr
    (folder / "data" / "eval.npz").write_bytes(b"ignored files may change")
    assert command(*line).returncode == 0
    (folder / "model" / "digits.bin").write_bytes(b"signed ones may not")
    assert command(*line).returncode != 0


def test_what_the_command_signs_is_read_here(tmp_path: Path) -> None:
    public = make_vendor_key(tmp_path / "acme.pem")
    folder = bundle(tmp_path / "b", "key")
    (folder / "notes").mkdir()
    (folder / "notes" / "day.txt").write_text("left out")
    (folder / "model" / "names.txt").write_text("zero one two")
    key, notes = tmp_path / "acme.pem", folder / "notes"
    signed = command("sign", "key", folder, "--signature", folder / "model.sig",
                     "--private_key", key, "--ignore-paths", notes)  # fmt: skip
    assert signed.returncode == 0, signed.stderr

    assert states(folder, tmp_path / "w", public) == {"valid": "info", "unsigned_files": "low"}
    for tamper in TAMPERED.values():
        tamper(folder)
        assert states(folder, tmp_path / "w", public)["invalid"] == "critical"
        RESTORED[tamper](folder)
        assert "valid" in states(folder, tmp_path / "w", public)


def _tamper(folder: Path) -> None:
    (folder / "model" / "digits.bin").write_bytes(b"weightz" * 100)


def _extra(folder: Path) -> None:
    (folder / "model" / "extra.bin").write_bytes(b"x")


def _emptied(folder: Path) -> None:
    (folder / "data" / "eval.npz").rename(folder.parent / "eval")
    (folder / "data" / "eval.npz").touch()


def _missing(folder: Path) -> None:
    (folder / "model" / "names.txt").rename(folder.parent / "names")


TAMPERED: dict[str, Callable[[Path], None]] = {
    "changed": _tamper, "extra": _extra, "emptied": _emptied, "missing": _missing,
}  # fmt: skip
RESTORED: dict[Callable[[Path], None], Callable[[Path], object]] = {
    _tamper: lambda f: (f / "model" / "digits.bin").write_bytes(b"weights" * 100),
    _extra: lambda f: (f / "model" / "extra.bin").unlink(),
    _emptied: lambda f: (f.parent / "eval").rename(f / "data" / "eval.npz"),
    _missing: lambda f: (f.parent / "names").rename(f / "model" / "names.txt"),
}


def test_symbolic_links_are_signed_by_nobody(tmp_path: Path) -> None:
    make_vendor_key(tmp_path / "acme.pem")
    folder = bundle(tmp_path / "b", "key")
    (folder / "model" / "link.bin").symlink_to("digits.bin")
    with pytest.raises(SigningError, match=r"link\.bin"):
        sign_model(folder, tmp_path / "acme.pem")
    signed = command("sign", "key", folder, "--signature", folder / "model.sig",
                     "--private_key", tmp_path / "acme.pem")  # fmt: skip
    assert signed.returncode != 0


def test_links_that_were_signed_as_files_hold_once_they_are_files(tmp_path: Path) -> None:
    public = make_vendor_key(tmp_path / "acme.pem")
    folder = bundle(tmp_path / "b", "key")
    link = folder / "model" / "link.bin"
    link.symlink_to("digits.bin")
    signed = command("sign", "key", folder, "--signature", folder / "model.sig",
                     "--private_key", tmp_path / "acme.pem", "--allow_symlinks")  # fmt: skip
    assert signed.returncode == 0, signed.stderr
    link.unlink()
    link.write_bytes((folder / "model" / "digits.bin").read_bytes())
    assert "valid" in states(folder, tmp_path / "w", public)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return certificate(tmp_path, "authority", None)


def test_certificates_work_both_ways(tmp_path: Path, authority: Authority) -> None:
    certificate(tmp_path, "acme", authority)
    folder = bundle(tmp_path / "b", "certificate")
    root = tmp_path / "authority.pem"
    signer = SigningKey(tmp_path / "acme.key", tmp_path / "acme.pem", (root,))
    place = sign_model(folder, signer)
    verified = command("verify", "certificate", folder, "--signature", place,
                       "--certificate_chain", root, "--ignore-paths", place)  # fmt: skip
    assert verified.returncode == 0, verified.stderr

    signed = command("sign", "certificate", folder, "--signature", place, "--private_key",
                     tmp_path / "acme.key", "--signing_certificate", tmp_path / "acme.pem",
                     "--certificate_chain", root)  # fmt: skip
    assert signed.returncode == 0, signed.stderr
    # Nobody in particular is expected, and that is said.
    assert states(folder, tmp_path / "w", root) == {"valid": "info", "any_identity": "low"}


def test_each_way_a_signer_can_be_wrong_has_its_own_name(
    tmp_path: Path, authority: Authority
) -> None:
    root = tmp_path / "authority.pem"
    certificate(tmp_path, "acme", authority)
    certificate(tmp_path, "late", authority, days=1, ago=3)
    certificate(tmp_path, "stranger", None)
    identities = tmp_path / "identities.yaml"
    identities.write_text("vendors: {Acme Vision: {keys: [acme], identities: [{identity: acme}]}}")

    def seen(name: str, *trusted: Path) -> dict[str, str]:
        folder = tmp_path / f"b-{name}-{len(trusted)}"
        bundle(folder, "certificate")
        signer = SigningKey(tmp_path / f"{name}.key", tmp_path / f"{name}.pem", (root,))
        sign_model(folder, signer)
        return states(folder, tmp_path / "w", *trusted)

    assert seen("acme", root, identities) == {"valid": "info"}
    assert seen("late", root) == {"expired": "medium"}
    assert seen("late", root, identities) == {"wrong_identity": "high"}
    assert seen("stranger", root) == {"unknown_key": "high"}


def test_a_key_of_one_vendor_does_not_speak_for_another(tmp_path: Path) -> None:
    public = make_vendor_key(tmp_path / "northwind.pem")
    folder = bundle(tmp_path / "b", "key")
    sign_model(folder, tmp_path / "northwind.pem")
    identities = tmp_path / "identities.yaml"
    identities.write_text("vendors: {Acme Vision: {keys: [acme]}, Northwind: {keys: [northwind]}}")
    assert states(folder, tmp_path / "w", public) == {"valid": "info"}
    assert states(folder, tmp_path / "w", public, identities) == {"wrong_identity": "high"}


def test_sharded_signatures_by_certificate_are_verified(
    tmp_path: Path, authority: Authority
) -> None:
    from model_signing import hashing, signing  # noqa: PLC0415 - half a second for this test only

    certificate(tmp_path, "acme", authority)
    folder = bundle(tmp_path / "b", "certificate")
    shards = hashing.Config().use_shard_serialization(shard_size=100)  # type: ignore[no-untyped-call]  # no types there
    shards.set_ignored_paths(paths=["model.sig"], ignore_git_paths=False)
    config = signing.Config()  # type: ignore[no-untyped-call]  # no types there
    config.use_certificate_signer(
        private_key=tmp_path / "acme.key",
        signing_certificate=tmp_path / "acme.pem",
        certificate_chain=[tmp_path / "authority.pem"],
    )
    config.set_hashing_config(shards).sign(folder, folder / "model.sig")
    root = tmp_path / "authority.pem"
    assert "valid" in states(folder, tmp_path / "w", root)
    _tamper(folder)
    assert "invalid" in states(folder, tmp_path / "w", root)


class Keyless:
    """A bundle signed by a Sigstore instance, and the operator's folder that trusts it."""

    def __init__(self, tmp_path: Path) -> None:
        self.instance = Instance()
        self.folder = bundle(tmp_path / "b", "sigstore")
        self.trust = tmp_path / "vendors"
        self.trust.mkdir()
        self.instance.write_root(self.trust / "sigstore.json")
        self.expect(IDENTITY, ISSUER)

    def expect(self, identity: str, issuer: str) -> None:
        named = {"identity": identity, "issuer": issuer}
        entry = {"vendors": {"Acme Vision": {"identities": [named]}}}
        (self.trust / "identities.yaml").write_text(json.dumps(entry))

    def sign(self, **more: Any) -> dict[str, Any]:
        value = self.instance.sign(_payload(self.folder), **({"identity": IDENTITY} | more))
        self.write(value)
        return value

    def write(self, value: dict[str, Any]) -> None:
        (self.folder / "model.sig").write_text(json.dumps(value))

    def seen(self, tmp_path: Path) -> dict[str, str]:
        return states(self.folder, tmp_path / "w", *trust_files(self.trust))


def _payload(folder: Path) -> bytes:
    """The statement as the ``model_signing`` library writes it, before anybody signs it."""
    from google.protobuf import json_format  # noqa: PLC0415
    from model_signing import hashing  # noqa: PLC0415
    from model_signing._signing import signing  # noqa: PLC0415

    config = hashing.Config()  # type: ignore[no-untyped-call]  # no types there
    config.set_ignored_paths(paths=["model.sig"], ignore_git_paths=False)
    statement = signing.Payload(config.hash(folder)).statement.pb
    return str(json_format.MessageToJson(statement)).encode()


@pytest.fixture
def keyless(tmp_path: Path) -> Keyless:
    return Keyless(tmp_path)


def test_keyless_signatures_are_verified_offline(keyless: Keyless, tmp_path: Path) -> None:
    keyless.sign()
    assert keyless.seen(tmp_path) == {"valid": "info"}
    _tamper(keyless.folder)
    assert keyless.seen(tmp_path) == {"invalid": "critical"}


def test_the_command_agrees_about_keyless_signatures(keyless: Keyless, tmp_path: Path) -> None:
    keyless.sign()
    config = tmp_path / "config.json"
    config.write_text(json.dumps(keyless.instance.trust_config()))
    place = keyless.folder / "model.sig"
    line = ("verify", "sigstore", keyless.folder, "--signature", place, "--identity", IDENTITY,
            "--identity_provider", ISSUER, "--trust_config", config)  # fmt: skip
    verified = command(*line)
    assert verified.returncode == 0, verified.stderr
    # A whole client trust configuration is read here, too.
    (keyless.trust / "sigstore.json").write_text(config.read_text())
    assert keyless.seen(tmp_path) == {"valid": "info"}


def test_keyless_signers_that_are_not_expected_are_told_apart(
    keyless: Keyless, tmp_path: Path
) -> None:
    keyless.sign(identity="somebody@else.example")
    assert keyless.seen(tmp_path) == {"wrong_identity": "high"}
    keyless.sign(issuer="https://other.example")
    assert keyless.seen(tmp_path) == {"wrong_identity": "high"}
    keyless.sign(logged=dt.timedelta(hours=1))
    assert keyless.seen(tmp_path) == {"expired": "medium"}
    keyless.sign()
    keyless.expect(IDENTITY, "")
    assert keyless.seen(tmp_path) == {"wrong_identity": "high"}
    Instance().write_root(keyless.trust / "sigstore.json")
    assert keyless.seen(tmp_path) == {"unknown_key": "high"}
    (keyless.trust / "sigstore.json").unlink()
    assert keyless.seen(tmp_path) == {"not_available": "medium"}


def _flip(*path: str | int) -> Callable[[dict[str, Any]], None]:
    """Changes one character of a base64 text."""

    def change(value: Any) -> None:
        for part in path[:-1]:
            value = value[part]
        text = value[path[-1]]
        value[path[-1]] = text[:20] + ("A" if text[20] != "A" else "B") + text[21:]

    return change


ENTRY = ("verificationMaterial", "tlogEntries", 0)
FORGED: dict[str, Callable[[dict[str, Any]], None]] = {
    "signature": _flip("dsseEnvelope", "signatures", 0, "sig"),
    "promise": _flip(*ENTRY, "inclusionPromise", "signedEntryTimestamp"),
    "root hash": _flip(*ENTRY, "inclusionProof", "rootHash"),
    "log body": _flip(*ENTRY, "canonicalizedBody"),
    "no log entry": lambda value: value["verificationMaterial"].update(tlogEntries=[]),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_keyless_signature_with_one_part_forged_is_invalid(
    keyless: Keyless, tmp_path: Path, name: str
) -> None:
    value = keyless.sign()
    FORGED[name](value)
    keyless.write(value)
    assert keyless.seen(tmp_path) == {"invalid": "critical"}


ODD_CHAINS: dict[str, list[dict[str, str]]] = {
    "none": [],
    "no certificate": [{"rawBytes": "AAAA"}],
    "not base64": [{"rawBytes": "no"}],
    "too many": [{"rawBytes": "AAAA"}] * 30,
}


@pytest.mark.parametrize("name", ODD_CHAINS)
def test_odd_chains_are_findings(tmp_path: Path, authority: Authority, name: str) -> None:
    certificate(tmp_path, "acme", authority)
    folder = bundle(tmp_path / "b", "certificate")
    root = tmp_path / "authority.pem"
    place = sign_model(folder, SigningKey(tmp_path / "acme.key", tmp_path / "acme.pem", (root,)))
    value = json.loads(place.read_text())
    value["verificationMaterial"]["x509CertificateChain"]["certificates"] = ODD_CHAINS[name]
    place.write_text(json.dumps(value))
    assert states(folder, tmp_path / "w", root) == {"unreadable": "high"}


TRUST_MISTAKES = {
    "authority.crt": "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----",
    "identities.yaml": "vendors: {Acme: {keyz: [a]}}",
    "sigstore.json": "[]",
}


@pytest.mark.parametrize("name", TRUST_MISTAKES)
def test_the_operators_mistakes_are_told_to_the_operator(
    keyless: Keyless, tmp_path: Path, name: str
) -> None:
    keyless.sign()
    (keyless.trust / name).write_text(TRUST_MISTAKES[name])
    with pytest.raises(SigningError, match=name):
        keyless.seen(tmp_path)


def test_keys_with_a_password_sign(tmp_path: Path) -> None:
    made = make_vendor_key(tmp_path / "plain.pem")
    plain = serialization.load_pem_private_key((tmp_path / "plain.pem").read_bytes(), None)
    sealed = tmp_path / "sealed.pem"
    sealed.write_bytes(
        plain.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"correct"),
        )
    )
    folder = bundle(tmp_path / "b", "key")
    sign_model(folder, SigningKey(sealed, password="correct"))  # noqa: S106 - of this test alone
    assert states(folder, tmp_path / "w", made) == {"valid": "info"}
    with pytest.raises(SigningError, match=r"sealed\.pem"):
        sign_model(folder, SigningKey(sealed, password="wrong"))  # noqa: S106 - of this test alone


def test_only_files_of_trust_are_read(tmp_path: Path) -> None:
    make_vendor_key(tmp_path / "acme.pem")
    (tmp_path / "notes.txt").write_text("not for the machine")
    found = trust_files(tmp_path)
    assert [path.name for path in found] == ["acme.pub"]
    assert read_trusted(found).keys[0][0].stem == "acme"
