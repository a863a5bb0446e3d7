"""Signing keys: the development key of a home, keys of production by URI, and who is trusted.

``<home>/keys/signing.pem`` is the private key (mode 0600), ``signing.pub`` its public half;
``<home>/keys/trusted/*.pem`` are all public keys that count and ``trusted/trust.json`` says from
when to when. The development key is Ed25519: its signatures are deterministic, so signing again
after a crash gives the same bytes.
"""

import contextlib
import json
import os
import stat
import uuid
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from pydantic import ValidationError
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import CryptoSigner, Signer, SSlibKey

from tasks.domain.errors import InvalidInputError, ProofhouseError, SigningError
from tasks.ledger.strict_json import parse_strict
from tasks.ledger.trust import KeyStanding, Trust, TrustFile

SECRET_VARIABLE = "PROOFHOUSE_SIGNER_SECRET"
"""Holds the PIN of a PKCS#11 token or the passphrase of an encrypted key file."""

_EXTRAS = {
    "hsm": "python-pkcs11",
    "awskms": "boto3",
    "gcpkms": "google-cloud-kms",
    "azurekms": "azure-identity and azure-keyvault-keys",
}
_PROBE = b"proofhouse: does this key answer to its public half?"


def make_key(home: Path) -> Path:
    """Makes the key of this home unless there is one; returns the path of its public half.

    Safe to call from several processes at once: one of them makes the key.

    Raises:
        SigningError: The public half is there but the private one is gone, or the folder cannot
            be written.
    """
    folder = home / "keys"
    private, public = folder / "signing.pem", folder / "signing.pub"
    try:
        (folder / "trusted").mkdir(parents=True, exist_ok=True, mode=0o700)
        published = public.exists()  # asked first: another process may be making the two just now
        if not private.exists():
            if published:
                raise SigningError(_gone(private))
            pem = Ed25519PrivateKey.generate().private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            )
            _publish(private, pem, mode=0o600)
        key = _file_signer(private).public_key
        pem = _pem_of(key)
        _publish(folder / "trusted" / f"{key.keyid[:16]}.pem", pem, mode=0o644)
        _publish(public, pem, mode=0o644)
    except OSError as error:
        raise SigningError(
            f"No key can be made in {folder}: {error.strerror}. Give this user write access to it, "
            "or set PROOFHOUSE_SIGNER to a key that is kept elsewhere."
        ) from error
    return public


def rotate_key(home: Path) -> Path:
    """Puts the key of this home aside and makes a new one; the old one stays trusted.

    Returns:
        The path of the new public half.
    """
    folder = home / "keys"
    old = _file_signer(folder / "signing.pem").public_key
    (folder / "signing.pem").rename(folder / f"retired-{old.keyid[:16]}.pem")
    (folder / "signing.pub").unlink(missing_ok=True)
    return make_key(home)


def open_signer(uri: str | None, *, home: Path) -> Signer:
    """Opens a signing key and proves that it fits its public half.

    Args:
        uri: ``file:/path/key.pem``, ``hsm:2?label=TOKEN``, ``awskms:ID``, ``gcpkms:RESOURCE``,
            ``azurekms://VAULT/KEY``; after ``#`` may stand the path of the public key (default
            ``<home>/keys/signing.pub``). None means the development key of ``home``, which is made
            when the home never had one.
        home: Where the development key lives.

    Raises:
        SigningError: Missing, unreadable, of another kind, of another pair, or its library is not
            installed. The message names the path or URI and the remedy.
    """
    if not uri:
        signer: Signer = _development_signer(home)
        place = str(home / "keys" / "signing.pem")
    elif urlsplit(uri).scheme in {"", "file", "file2"}:
        place = unquote(urlsplit(uri).path)
        signer = _file_signer(Path(place), _named_public(uri))
    else:
        place = uri
        signer = _remote_signer(uri, home)
    _verify_answers(signer, place)
    _trust_first(signer, home)
    return signer


def trusted_keys(home: Path) -> Trust:
    """Reads ``<home>/keys/trusted``: the public keys and what is said about them.

    Raises:
        InvalidInputError: A file in there is no public key, or ``trust.json`` is malformed.
    """
    folder = home / "keys" / "trusted"
    keys = [_public_key(path) for path in sorted(folder.glob("*.pem"))]
    return Trust(keys, _standings(folder / "trust.json"))


def set_standing(home: Path, standing: KeyStanding) -> Path:
    """Says from when to when a key counts, or that it is revoked; returns the trust file."""
    path = home / "keys" / "trusted" / "trust.json"
    rows = {row.keyid: row for row in _standings(path)} | {standing.keyid: standing}
    whole = TrustFile(schema_="proofhouse.trust/1", keys=tuple(rows.values()))
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    part.write_text(json.dumps(whole.model_dump(mode="json"), indent=2) + "\n")
    part.replace(path)
    return path


def _development_signer(home: Path) -> CryptoSigner:
    private, public = home / "keys" / "signing.pem", home / "keys" / "signing.pub"
    used = public.exists() or (home / "witness.json").exists()  # asked first, as in make_key
    if not private.exists():
        if used:
            # This home has signed before: a silent new key would make its evidence unverifiable.
            raise SigningError(_gone(private))
        make_key(home)
    return _file_signer(private, public if public.exists() else None)


def _file_signer(path: Path, public: Path | None = None) -> CryptoSigner:
    try:
        data, mode = path.read_bytes(), path.stat().st_mode
    except FileNotFoundError:
        raise SigningError(_gone(path)) from None
    except OSError as error:
        raise SigningError(
            f"The signing key {path} cannot be read: {error.strerror}. Let this user read it "
            "(owner and mode 0600), or set PROOFHOUSE_SIGNER to another key."
        ) from error
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SigningError(
            f"The signing key {path} can be changed by other users (mode {mode & 0o777:04o}). "
            f"Run: chmod 600 {path}"
        )
    try:
        secret = os.environ.get(SECRET_VARIABLE)
        private = load_pem_private_key(
            data, secret.encode() if secret and b"ENCR" in data else None
        )
        return CryptoSigner(private, _public_key(public) if public else None)
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidInputError) as error:
        raise SigningError(
            f"The signing key {path} cannot be used: {error}. It must be a PEM private key "
            "(Ed25519, ECDSA or RSA) that belongs to its public half; an encrypted one needs "
            f"{SECRET_VARIABLE}."
        ) from error


def _remote_signer(uri: str, home: Path) -> Signer:
    scheme = urlsplit(uri).scheme
    if scheme not in _EXTRAS:
        known = ", ".join(("file", *_EXTRAS))
        raise SigningError(f"No kind of signing key is called {scheme!r} ({uri}). Known: {known}.")
    public = _named_public(uri) or home / "keys" / "signing.pub"
    try:
        key = _public_key(public)
    except InvalidInputError as error:
        raise SigningError(
            f"{uri} needs its public key at {public}: {error}. Export it as PEM there, or name "
            "its path after #."
        ) from error
    try:
        return Signer.from_priv_key_uri(uri.partition("#")[0], key, _secret)
    except ProofhouseError:
        raise
    except Exception as error:  # every cloud library raises classes of its own
        raise SigningError(
            f"The signing key {uri} cannot be opened: {_told(error)}. It needs the package "
            f"{_EXTRAS[scheme]}, credentials in the environment, and a key that may sign."
        ) from error


def _verify_answers(signer: Signer, place: str) -> None:
    try:
        signer.public_key.verify_signature(signer.sign(_PROBE), _PROBE)
    except ProofhouseError:
        raise
    except UnverifiedSignatureError as error:
        raise SigningError(
            f"The signing key {place} does not belong to the public key {signer.public_key.keyid}. "
            "Give the public half of the same pair."
        ) from error
    except Exception as error:  # every cloud library raises classes of its own
        raise SigningError(
            f"The signing key {place} does not sign: {_told(error)}. Check credentials, permission "
            "and network, then run again."
        ) from error


def _trust_first(signer: Signer, home: Path) -> None:
    """Trusts the first key that a home ever opens; every further one is a person's decision."""
    folder, key = home / "keys" / "trusted", signer.public_key
    if not any(folder.glob("*.pem")) and isinstance(key, SSlibKey):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _publish(folder / f"{key.keyid[:16]}.pem", _pem_of(key), mode=0o644)
        except OSError as error:
            raise SigningError(
                f"The public key cannot be kept in {folder}: {error.strerror}. Give this user "
                "write access to it."
            ) from error


def _named_public(uri: str) -> Path | None:
    fragment = urlsplit(uri).fragment
    return Path(unquote(fragment)) if fragment else None


def _secret(name: str) -> str:
    value = os.environ.get(SECRET_VARIABLE)
    if not value:
        raise SigningError(f"The signing key asks for its {name}. Set {SECRET_VARIABLE}.")
    return value


def _public_key(path: Path) -> SSlibKey:
    try:
        return SSlibKey.from_crypto(load_pem_public_key(path.read_bytes()))
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInputError(f"{path} is not a usable public key in PEM: {error}") from error


def _standings(path: Path) -> tuple[KeyStanding, ...]:
    try:
        parse_strict(data := path.read_bytes(), place=str(path), most_bytes=1 << 20)
        return TrustFile.parse(data).keys
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError, ProofhouseError) as error:
        raise InvalidInputError(
            f"{path} cannot be used: {error}. Nothing is trusted until it is mended."
        ) from error


def _pem_of(key: SSlibKey) -> bytes:
    public: PublicKeyTypes = key._crypto_key()  # noqa: SLF001 - the library offers no public way
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _publish(path: Path, data: bytes, *, mode: int) -> None:
    """Writes a file that appears whole or not at all; leaves one that is there as it is."""
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(part)
    finally:
        part.unlink()


def _gone(path: Path) -> str:
    return (
        f"The signing key {path} is missing. Restore it from its backup, or set PROOFHOUSE_SIGNER "
        "to the key to use. To begin a new key on purpose, move its .pub file away as well: "
        "evidence of the old key keeps verifying while keys/trusted holds its public half."
    )


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"
