"""Keys are found, refused with a remedy, rotated, and trusted only as the trust file says."""

import json
import multiprocessing
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tasks.domain.errors import InvalidInputError, SigningError
from tasks.ledger.keys import make_key, open_signer, rotate_key, set_standing, trusted_keys
from tasks.ledger.trust import KeyStanding
from tests.tasks.ledger.races import made_meanwhile

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def keyid(home: Path) -> str:
    return str(open_signer(None, home=home).public_key.keyid)


def test_a_home_makes_its_key_once(tmp_path: Path) -> None:
    public = make_key(tmp_path)
    private = tmp_path / "keys" / "signing.pem"
    assert public.read_bytes().startswith(b"-----BEGIN PUBLIC KEY-----")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    before = private.read_bytes()
    assert make_key(tmp_path) == public
    assert private.read_bytes() == before
    assert list(trusted_keys(tmp_path).keys) == [keyid(tmp_path)]
    assert not list(tmp_path.rglob("*.part"))


def test_the_first_use_of_a_home_makes_the_key(tmp_path: Path) -> None:
    assert keyid(tmp_path) == keyid(tmp_path)
    assert list(trusted_keys(tmp_path).keys) == [keyid(tmp_path)]


def test_processes_that_race_for_the_key_get_the_same_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    with context.Pool(4) as pool:
        ids = pool.map(keyid, [tmp_path] * 8)
    assert len(set(ids)) == 1
    assert len(list((tmp_path / "keys" / "trusted").iterdir())) == 1


@pytest.mark.parametrize("ask", [make_key, lambda home: open_signer(None, home=home)])
def test_a_key_that_another_process_makes_meanwhile_is_used(
    ask: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_meanwhile(lambda: make_key(tmp_path), monkeypatch)
    assert ask(tmp_path)


def test_a_lost_private_key_is_not_replaced_silently(tmp_path: Path) -> None:
    make_key(tmp_path)
    (tmp_path / "keys" / "signing.pem").unlink()
    for attempt in (lambda: open_signer(None, home=tmp_path), lambda: make_key(tmp_path)):
        with pytest.raises(SigningError, match=r"signing\.pem is missing\. Restore"):
            attempt()


def test_a_home_that_signed_before_does_not_get_a_new_key(tmp_path: Path) -> None:
    (tmp_path / "witness.json").write_text("{}")
    with pytest.raises(SigningError, match="is missing"):
        open_signer(None, home=tmp_path)


def _private(kind: str, *, secret: bytes | None = None) -> bytes:
    key = (
        ec.generate_private_key(ec.SECP256R1())
        if kind == "ecdsa"
        else ed25519.Ed25519PrivateKey.generate()
    )
    hide = BestAvailableEncryption(secret) if secret else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hide)


def test_a_key_file_is_opened_by_path_or_uri_and_trusted_when_it_is_the_first(
    tmp_path: Path,
) -> None:
    path = tmp_path / "own key.pem"
    path.write_bytes(_private("ecdsa"))
    path.chmod(0o600)
    ids = {
        open_signer(uri, home=tmp_path / "home").public_key.keyid
        for uri in (f"file:{path}", f"file2:{path}", str(path), f"file:{path}".replace(" ", "%20"))
    }
    assert ids == set(trusted_keys(tmp_path / "home").keys)
    make_key(tmp_path / "home")
    assert len(trusted_keys(tmp_path / "home").keys) == 2


def test_an_encrypted_key_needs_its_passphrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(_private("ed25519", secret=b"open sesame"))
    path.chmod(0o600)
    with pytest.raises(SigningError, match="PROOFHOUSE_SIGNER_SECRET"):
        open_signer(f"file:{path}", home=tmp_path)
    monkeypatch.setenv("PROOFHOUSE_SIGNER_SECRET", "open sesame")
    assert open_signer(f"file:{path}", home=tmp_path)
    monkeypatch.setenv("PROOFHOUSE_SIGNER_SECRET", "wrong")
    with pytest.raises(SigningError, match="cannot be used"):
        open_signer(f"file:{path}", home=tmp_path)


BAD_FILES = {
    "empty": b"",
    "no key": b"hello",
    "truncated": _private("ed25519")[:-40],
    "a public key": ed25519.Ed25519PrivateKey.generate()
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_what_is_no_key_is_refused_by_path(name: str, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(BAD_FILES[name])
    path.chmod(0o600)
    with pytest.raises(SigningError, match=f"{path} cannot be used"):
        open_signer(f"file:{path}", home=tmp_path)


def test_a_folder_a_missing_file_and_an_open_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match="cannot be read"):
        open_signer(f"file:{tmp_path}", home=tmp_path)
    with pytest.raises(SigningError, match=r"nowhere\.pem is missing"):
        open_signer("file:nowhere.pem", home=tmp_path)
    path = tmp_path / "key.pem"
    path.write_bytes(_private("ed25519"))
    path.chmod(0o666)
    with pytest.raises(SigningError, match=f"chmod 600 {path}"):
        open_signer(f"file:{path}", home=tmp_path)


def test_a_public_half_of_another_pair_is_noticed(tmp_path: Path) -> None:
    public = make_key(tmp_path / "other")
    make_key(tmp_path)
    (tmp_path / "keys" / "signing.pub").write_bytes(public.read_bytes())
    with pytest.raises(SigningError, match="does not match"):
        open_signer(None, home=tmp_path)


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("hsm:2?label=token", "python-pkcs11"),
        ("gcpkms:projects/p/locations/l", "google-cloud-kms"),
        ("azurekms://vault.azure.example/keys/k/1", "azure-identity"),
    ],
)
def test_a_missing_library_is_named(uri: str, told: str, tmp_path: Path) -> None:
    public = tmp_path / "public.pem"
    public.write_bytes(
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(SigningError, match=told):
        open_signer(f"{uri}#{public}", home=tmp_path)


def test_remote_keys_need_their_public_half_and_a_known_scheme(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match=r"needs its public key at .*signing\.pub"):
        open_signer("awskms:alias/proof", home=tmp_path)
    with pytest.raises(SigningError, match="No kind of signing key is called 'ftp'"):
        open_signer("ftp://key", home=tmp_path)


class Kms:
    """Signs as AWS does: the caller hashes (moto 5 hashes the digest once more)."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())

    def sign(self, **asked: Any) -> dict[str, bytes]:
        assert (asked["KeyId"], asked["MessageType"]) == ("alias/proof", "DIGEST")
        algorithm = ec.ECDSA(Prehashed(hashes.SHA256()))
        return {"Signature": self.key.sign(asked["Message"], algorithm)}


def test_a_key_in_aws_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kms = Kms()
    monkeypatch.setattr("boto3.client", lambda service: {"kms": kms}[service])
    public = tmp_path / "public.pem"
    public.write_bytes(
        kms.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    signer = open_signer(f"awskms:alias/proof#{public}", home=tmp_path)
    signer.public_key.verify_signature(signer.sign(b"x"), b"x")
    kms.key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(SigningError, match="does not belong to the public key"):
        open_signer(f"awskms:alias/proof#{public}", home=tmp_path)
    other = make_key(tmp_path / "other")  # Ed25519, which AWS does not offer
    with pytest.raises(SigningError, match="cannot be opened"):
        open_signer(f"awskms:alias/proof#{other}", home=tmp_path)


def test_rotation_keeps_the_old_key_trusted(tmp_path: Path) -> None:
    make_key(tmp_path)
    old = keyid(tmp_path)
    rotate_key(tmp_path)
    assert keyid(tmp_path) != old
    assert set(trusted_keys(tmp_path).keys) == {old, keyid(tmp_path)}


def test_the_trust_file_round_trips(tmp_path: Path) -> None:
    make_key(tmp_path)
    mine = KeyStanding(keyid=keyid(tmp_path), not_after=NOW)
    set_standing(tmp_path, mine)
    other = KeyStanding(keyid="0" * 64, revoked=True, note="stolen")
    path = set_standing(tmp_path, other)
    assert trusted_keys(tmp_path).standings == {row.keyid: row for row in (mine, other)}
    assert json.loads(path.read_bytes())["schema"] == "proofhouse.trust/1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"schema":"proofhouse.trust/1","keys":[{"keyid":"x"}]}',
        '{"schema":"proofhouse.trust/1","keys":[],"keys":[]}',
        '{"schema":"proofhouse.trust/1","keys":[{"keyid":"%s","not_after":"2026-01-01"}]}'
        % ("0" * 64),
    ],
)
def test_a_broken_trust_file_trusts_nothing(text: str, tmp_path: Path) -> None:
    make_key(tmp_path)
    (tmp_path / "keys" / "trusted" / "trust.json").write_text(text)
    with pytest.raises(InvalidInputError, match=r"trust\.json cannot be used"):
        trusted_keys(tmp_path)


def test_a_broken_public_key_is_named(tmp_path: Path) -> None:
    make_key(tmp_path)
    (tmp_path / "keys" / "trusted" / "bad.pem").write_text("hello")
    with pytest.raises(InvalidInputError, match=r"bad\.pem is not a usable public key"):
        trusted_keys(tmp_path)


def test_a_home_without_keys_trusts_nobody(tmp_path: Path) -> None:
    assert trusted_keys(tmp_path).keys == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SigningError, match="No key can be made"):
        make_key(tmp_path)
