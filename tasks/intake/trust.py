"""Whose signatures count: the operator's keys, authorities, Sigstore root and vendor identities.

All of it lies in one folder (``<home>/vendors``), one file each:

- ``*.pub``: a PEM public key (P-256, P-384, P-521);
- ``*.crt``: PEM certificates of authorities;
- ``sigstore.json``: a Sigstore trusted root, or a client trust configuration that holds one;
- ``identities.yaml``: which keys and identities speak for which vendor.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field, StringConstraints, ValidationError

from tasks.domain.errors import InvalidInputError, SigningError
from tasks.domain.frozen import Frozen
from tasks.intake.names import shown
from tasks.intake.strict_yaml import parse_yaml

IDENTITIES, SIGSTORE_ROOT = "identities.yaml", "sigstore.json"
# Hash by curve, as the Sigstore key details demand (PKIX_ECDSA_P256_SHA_256 …).
HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
_Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class Identity(Frozen):
    """A name in a certificate: a mail address or address (SAN), or a common name.

    ``issuer`` is the OpenID Connect issuer of a Sigstore certificate; empty for other authorities.
    """

    identity: _Text
    issuer: str = ""


class VendorTrust(Frozen):
    """What speaks for one vendor. ``keys`` are file names without suffix.

    ``builders`` are the builder ids that its lineage may name; empty: any.
    """

    keys: tuple[_Text, ...] = ()
    identities: tuple[Identity, ...] = ()
    builders: tuple[_Text, ...] = ()


class _Identities(Frozen):
    vendors: dict[str, VendorTrust] = Field(default={}, max_length=10_000)


class TrustedKeys(NamedTuple):
    """What the operator trusts, read once."""

    keys: tuple[tuple[Path, ec.EllipticCurvePublicKey], ...] = ()
    certificates: tuple[Path, ...] = ()
    sigstore_root: Path | None = None
    vendors: dict[str, VendorTrust] = {}

    def key_speaks_for(self, key: Path, vendor: str) -> bool:
        """Answers whether a key may sign for a vendor. Who has no entry is not restricted."""
        entry = self.vendors.get(vendor)
        return entry is None or key.stem in entry.keys

    def identities_of(self, vendor: str) -> tuple[Identity, ...]:
        """Returns the identities whose certificates may sign for a vendor."""
        entry = self.vendors.get(vendor)
        return entry.identities if entry else ()

    def builders_of(self, vendor: str) -> tuple[str, ...]:
        """Returns the builders that a vendor's lineage may name; empty when any will do."""
        entry = self.vendors.get(vendor)
        return entry.builders if entry else ()


def is_made_by(key: ec.EllipticCurvePublicKey, signature: bytes, signed: bytes) -> bool:
    """Answers whether a key made a signature (ECDSA, hash by curve)."""
    try:
        key.verify(signature, signed, ec.ECDSA(HASHES[key.curve.name]))
    except InvalidSignature:
        return False
    return True


def trust_files(folder: Path) -> tuple[Path, ...]:
    """Returns every file of the operator's trust folder that :func:`read_trusted` reads."""
    found = [*folder.glob("*.pub"), *folder.glob("*.crt")]
    found += [path for name in (SIGSTORE_ROOT, IDENTITIES) if (path := folder / name).is_file()]
    return tuple(sorted(found))


def read_trusted(paths: Sequence[Path]) -> TrustedKeys:
    """Reads the operator's trusted keys, certificates, Sigstore root and identities.

    Raises:
        SigningError: A file is unreadable or holds something else: the operator's mistake.
    """
    keys: list[tuple[Path, ec.EllipticCurvePublicKey]] = []
    certificates: list[Path] = []
    root: Path | None = None
    vendors: dict[str, VendorTrust] = {}
    for path in sorted(paths):
        data = _bytes(path)
        if path.suffix == ".json":
            root = path
        elif path.suffix in {".yaml", ".yml"}:
            vendors |= _identities(path, data)
        elif b"BEGIN CERTIFICATE" in data:
            certificates.append(_authorities(path, data))
        else:
            keys.append((path, _public_key(path, data)))
    return TrustedKeys(tuple(keys), tuple(certificates), root, vendors)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SigningError(f"The trusted key {path} cannot be read: {error}.") from error


def _authorities(path: Path, data: bytes) -> Path:
    try:
        x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise SigningError(
            f"The trusted certificates {path} cannot be read: {error}. They must be PEM."
        ) from error
    return path


def _public_key(path: Path, data: bytes) -> ec.EllipticCurvePublicKey:
    try:
        key = serialization.load_pem_public_key(data)
    except ValueError as error:
        raise SigningError(
            f"The trusted key {path} cannot be read: {error}. It must be a PEM public key."
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in HASHES:
        raise SigningError(f"The trusted key {path} is not a P-256, P-384 or P-521 key.")
    return key


def _identities(path: Path, data: bytes) -> dict[str, VendorTrust]:
    try:
        value: Any = parse_yaml(data, place=str(path))
        return _Identities.model_validate(value or {}).vendors
    except InvalidInputError as error:
        raise SigningError(error.message) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SigningError(
            f"{path} does not fit at {shown(place)}: {first['msg']}. It maps vendors to lists of "
            "keys and identities."
        ) from error
