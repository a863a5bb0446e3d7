"""Signs the files of an accepted model as OpenSSF model signing does, and verifies such signatures.

The key is an ECDSA key, because the format knows no other bare keys: ``<home>/keys/models/
signing.pem``, or the PEM file that ``PROOFHOUSE_MODEL_KEY`` names. Public halves that count lie in
``<home>/keys/models/trusted/*.pub``; ``model_signing verify key`` reads the same signatures.
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest, digest_of, hexadecimal
from tasks.domain.errors import EvidenceError, InvalidInputError, SigningError
from tasks.intake.envelope import parse_envelope, parse_statement
from tasks.intake.trust import is_made_by, read_trusted
from tasks.intake.writing import SigningKey, make_vendor_key, sign_model
from tasks.store.protocol import ObjectStore

SIGNATURE = "model.sig"
PASSWORD = "PROOFHOUSE_KEY_PASSWORD"


class UnsignedModelError(EvidenceError):
    """A model must not be deployed: not accepted, not signed, or not what was signed."""

    code = "registry.unsigned_model"


def model_files(subject: Subject) -> dict[str, Digest]:
    """Returns the files that make up the model itself, by path; none for one behind an address.

    Raises:
        UnsignedModelError: The subject lacks a file that its manifest names.
    """
    model = subject.spec.model
    found: dict[str, Digest] = {}
    for path in filter(None, (model.artifact, model.architecture)):
        entry = subject.file(path)
        if entry is None:
            raise UnsignedModelError(f"{subject.spec.asset} came without its file {path}")
        found[path] = entry.digest
    return found


def sign_files(
    files: Mapping[str, Digest], store: ObjectStore, *, home: Path, key: Path | None, scratch: Path
) -> Digest:
    """Signs files that lie in the store; returns the digest of the stored signature.

    Args:
        files: Digests by path.
        store: Where the files lie and the signature goes.
        home: Whose development key signs when ``key`` is None; it is made when there is none.
        key: A PEM private key (P-256, P-384, P-521).
        scratch: Room for a copy of the files, removed again.

    Raises:
        SigningError: The key cannot be used.
        StoreError: A file is missing or corrupt.
    """
    private = key or development_key(home)
    scratch.mkdir(parents=True, exist_ok=True)
    with _laid_out(files, store, scratch) as folder:
        signer = SigningKey(private, password=os.environ.get(PASSWORD))
        return store.put_file(sign_model(folder, signer, signature=SIGNATURE)).digest


def verify_files(signature: bytes, files: Mapping[str, Digest], *, home: Path, place: str) -> str:
    """Verifies that a trusted key signed exactly ``files``; returns the key's name.

    Raises:
        UnsignedModelError: No trusted key made the signature, or it is over other files.
    """
    try:
        envelope = parse_envelope(signature)
        statement = parse_statement(envelope.payload)
    except InvalidInputError as error:
        raise UnsignedModelError(f"{place}: {error.message}") from error
    trusted = read_trusted(tuple(sorted(trusted_folder(home).glob("*.pub"))))
    made = next((path for path, one in trusted.keys if is_made_by(one, *envelope.signed())), None)
    if made is None:
        raise UnsignedModelError(
            f"{place} was made by none of the {len(trusted.keys)} keys in "
            f"{trusted_folder(home)}. Copy the signer's public key there if you trust it."
        )
    signed = {item.name: item.digest for item in statement.resources}
    if not statement.plain or signed != {path: hexadecimal(one) for path, one in files.items()}:
        raise UnsignedModelError(f"{place} is a signature over other files than {sorted(files)}")
    return made.stem


def development_key(home: Path) -> Path:
    """Returns the model key of this home, made and trusted at the first use.

    Raises:
        SigningError: Its public half is there, but the private one is gone.
    """
    private = _folder(home) / "signing.pem"
    public = private.with_suffix(".pub")
    published = public.exists()  # asked first: another process may be making the two just now
    if not private.exists():
        if published:
            raise SigningError(
                f"The model key {private} is missing. Restore it from its backup, or set "
                "PROOFHOUSE_MODEL_KEY. To begin a new key on purpose, move its .pub file away too."
            )
        _make_key(private)
    if not public.exists():  # last, so that whoever died before this begins again here
        trust_key(home, _public_half(private))
        _publish(public, _public_half(private))
    return private


def trust_key(home: Path, public: bytes) -> Path:
    """Lets a public key (PEM) vouch for models; returns where it is kept."""
    folder = trusted_folder(home)
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{hexadecimal(digest_of(public))[:16]}.pub"
    _publish(place, public)
    read_trusted((place,))
    return place


def _make_key(private: Path) -> None:
    part = private.with_name(f".{uuid.uuid4().hex}.pem")
    make_vendor_key(part).unlink()
    with contextlib.suppress(FileExistsError):  # another process was faster: its key counts
        private.hardlink_to(part)
    part.unlink()


def _public_half(private: Path) -> bytes:
    key = serialization.load_pem_private_key(private.read_bytes(), None)
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _publish(place: Path, data: bytes) -> None:
    part = place.with_name(f".{uuid.uuid4().hex}.part")
    part.write_bytes(data)
    part.replace(place)


def trusted_folder(home: Path) -> Path:
    """Where the public keys lie that vouch for models."""
    return _folder(home) / "trusted"


def _folder(home: Path) -> Path:
    return home / "keys" / "models"


@contextlib.contextmanager
def _laid_out(files: Mapping[str, Digest], store: ObjectStore, scratch: Path) -> Iterator[Path]:
    folder = scratch / f"sign-{uuid.uuid4().hex}"
    folder.mkdir()
    try:
        for path, digest in files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            store.fetch(digest, place)
        yield folder
    finally:
        shutil.rmtree(folder)
