"""Sigstore (keyless) signatures, verified offline against a trusted root that the operator keeps.

The bundle brings everything: certificate, signed certificate timestamp, log entry with inclusion
proof and checkpoint. Nothing is fetched; the trusted root says which authorities and logs count.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tasks.domain.errors import InvalidInputError, SigningError
from tasks.intake.names import shown
from tasks.intake.trust import Identity


class UnknownAuthorityError(InvalidInputError):
    """The certificate was not issued by an authority of the trusted root."""


class ExpiredCertificateError(InvalidInputError):
    """The log saw the signature at a time when the certificate was not valid."""


class Keyless(NamedTuple):
    """A signature that holds: its signed payload, who made it, and whether that one is expected."""

    payload: bytes
    signer: str
    expected: bool


def verify_keyless(data: bytes, root: Path, wanted: Sequence[Identity]) -> Keyless:
    """Verifies a Sigstore bundle with a DSSE envelope.

    Args:
        data: The bundle's JSON.
        root: A trusted root, or a client trust configuration with one.
        wanted: Identities that may have signed; each with its issuer.

    Raises:
        InvalidInputError: The signature does not hold; the message says where.
        UnknownAuthorityError: Another authority issued the certificate.
        ExpiredCertificateError: It was signed outside the certificate's validity.
        SigningError: The trusted root cannot be used: the operator's mistake.
    """
    # Half a second of imports that only bundles signed this way pay.
    from sigstore.errors import CertValidationError, Error  # noqa: PLC0415
    from sigstore.models import Bundle  # noqa: PLC0415
    from sigstore.verify import policy  # noqa: PLC0415

    verifier = _verifier(root)
    try:
        bundle = Bundle.from_json(data)
        # Who signed is asked apart, so that a stranger is not mistaken for a forger.
        _, payload = verifier.verify_dsse(bundle, policy.UnsafeNoOp())
    except CertValidationError as error:
        raise _chain_problem(bundle, str(error)) from error
    except Error as error:
        raise InvalidInputError(shown(str(error), 400)) from error
    except Exception as error:  # its parsers raise what they like on odd bundles
        raise InvalidInputError(f"{type(error).__name__}: {shown(str(error), 400)}") from error
    certificate = bundle.signing_certificate
    return Keyless(payload, _told(certificate), _is_expected(certificate, wanted))


def _verifier(root: Path) -> Any:
    from sigstore.models import ClientTrustConfig, TrustedRoot  # noqa: PLC0415
    from sigstore.verify import Verifier  # noqa: PLC0415

    try:
        text = root.read_text(encoding="utf-8")
        whole = "trustedRoot" in json.loads(text)
        trusted = (
            ClientTrustConfig.from_json(text).trusted_root
            if whole
            else TrustedRoot.from_file(str(root))
        )
        return Verifier(trusted_root=trusted)
    except Exception as error:  # the library raises what its parsers raise
        raise SigningError(
            f"The Sigstore trusted root {root} cannot be used: {shown(str(error))}. Put the "
            "trusted_root.json of your Sigstore instance there."
        ) from error


def _chain_problem(bundle: Any, words: str) -> InvalidInputError:
    """Tells a certificate that had ended from one that no trusted authority issued."""
    certificate = bundle.signing_certificate
    logged = bundle.log_entry._inner.integrated_time  # noqa: SLF001 - no public name for it
    starts, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if logged and not starts.timestamp() <= logged <= ends.timestamp():
        return ExpiredCertificateError(
            f"the log saw it at {logged} (Unix time), the certificate was valid "
            f"from {starts:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC"
        )
    return UnknownAuthorityError(shown(words, 300))


def _is_expected(certificate: Any, wanted: Sequence[Identity]) -> bool:
    from sigstore.errors import VerificationError  # noqa: PLC0415
    from sigstore.verify import policy  # noqa: PLC0415

    # A name means nothing without the party that vouches for it.
    named = [each for each in wanted if each.issuer]
    for each in named:
        try:
            policy.Identity(identity=each.identity, issuer=each.issuer).verify(certificate)
        except VerificationError:
            continue
        return True
    return False


def _told(certificate: Any) -> str:
    from cryptography import x509  # noqa: PLC0415

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return "an unnamed identity"
    return ", ".join(shown(str(getattr(each, "value", each)), 100) for each in names)
