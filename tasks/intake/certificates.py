"""Signing certificates of an authority that the operator trusts: chain, use, validity, identity.

A signature of this kind carries no proof of when it was made. As in the ``model_signing`` library,
the chain is built at the time the certificate became valid; that the certificate has ended since
is told apart from a chain that never held.
"""

import base64
import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tasks.domain.errors import InvalidInputError, SigningError
from tasks.intake.names import shown
from tasks.intake.trust import HASHES, Identity, TrustedKeys

_MOST_CERTIFICATES = 20


class UntrustedChainError(InvalidInputError):
    """No chain leads from the certificate to a trusted authority, or it may not sign."""


class Signer(NamedTuple):
    """Who a certificate says signed, its key, and until when it was valid (UTC)."""

    names: tuple[str, ...]
    key: ec.EllipticCurvePublicKey
    ends: dt.datetime


def certificate_signer(chain: Sequence[str], trusted: TrustedKeys) -> Signer:
    """Returns the signer of a certificate chain that leads to a trusted authority.

    Args:
        chain: Base64 of DER certificates, the signing one first.
        trusted: The operator's authorities.

    Raises:
        InvalidInputError: The chain holds no certificates that can be read.
        UntrustedChainError: It does not lead to a trusted authority, or may not sign.
    """
    try:
        return _signer(chain, trusted)
    except (InvalidInputError, SigningError):
        raise
    except Exception as error:  # odd extensions, dates and keys fail in classes of their own
        raise InvalidInputError(
            f"a certificate cannot be read: {type(error).__name__}: {shown(str(error))}"
        ) from error


def _signer(chain: Sequence[str], trusted: TrustedKeys) -> Signer:
    leaf, *between = _certificates(chain)
    _refuse_unchained(leaf, between, trusted)
    if not _may_sign(leaf):
        raise UntrustedChainError("the certificate is not one for signing")
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in HASHES:
        raise UntrustedChainError("the certificate's key is not a P-256, P-384 or P-521 key")
    return Signer(tuple(_names(leaf)), key, leaf.not_valid_after_utc)


def is_one_of(names: Sequence[str], wanted: Sequence[Identity]) -> bool:
    """Answers whether a certificate's names hold a wanted identity; none wanted: any will do."""
    return not wanted or any(each.identity in names for each in wanted)


def _certificates(chain: Sequence[str]) -> list[x509.Certificate]:
    if not 1 <= len(chain) <= _MOST_CERTIFICATES:
        raise InvalidInputError(f"{len(chain)} certificates are no chain")
    return [x509.load_der_x509_certificate(base64.b64decode(each, validate=True)) for each in chain]


def _refuse_unchained(
    leaf: x509.Certificate, between: Sequence[x509.Certificate], trusted: TrustedKeys
) -> None:
    from OpenSSL import crypto  # noqa: PLC0415 - only bundles signed this way pay for it

    store = crypto.X509Store()
    for path in trusted.certificates:
        for authority in x509.load_pem_x509_certificates(path.read_bytes()):
            store.add_cert(crypto.X509.from_cryptography(authority))
    store.set_time(leaf.not_valid_before_utc)
    context = crypto.X509StoreContext(
        store,
        crypto.X509.from_cryptography(leaf),
        [crypto.X509.from_cryptography(each) for each in between],
    )
    try:
        context.verify_certificate()
    except crypto.X509StoreContextError as error:
        raise UntrustedChainError(
            f"no chain leads to a trusted authority: {shown(str(error))}"
        ) from error


def _may_sign(leaf: x509.Certificate) -> bool:
    try:
        if leaf.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature:
            return True
    except x509.ExtensionNotFound:
        pass
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.CODE_SIGNING in usage


def _names(leaf: x509.Certificate) -> list[str]:
    names = [str(each.value) for each in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        other = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return names
    kinds: tuple[type[x509.GeneralName], ...] = (
        x509.RFC822Name, x509.DNSName, x509.UniformResourceIdentifier,
    )  # fmt: skip
    return names + [str(each.value) for each in other if isinstance(each, kinds)]
