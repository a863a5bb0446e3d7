"""May this vendor hand anything in, and is the key that signed the bundle the vendor's own?

Trusted keys lie together in one folder, but each vouches for one vendor: the one that the register
binds it to, else the one that its file is named after (``acme-vision.pub``, or
``acme-vision.2026.pub`` for a second key).
"""

from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tasks.domain.digest import digest_of, hexadecimal
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.domain.vendor import BARRED, VendorView, vendor_key
from tasks.intake.names import shown

FAMILY = "governance.vendor."


def fingerprint(key: EllipticCurvePublicKey) -> str:
    """Returns the SHA-256 of a public key's DER form, in hexadecimal."""
    return hexadecimal(digest_of(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)))


def vendor_observations(
    name: str, signer: tuple[Path, EllipticCurvePublicKey] | None, view: VendorView
) -> Iterator[Observation]:
    """Yields what speaks against taking this bundle from this vendor.

    Args:
        name: The vendor as the bundle names it.
        signer: The trusted key that made the bundle's signature, if one did.
        view: What the register knows.
    """
    if view.state in BARRED:
        why = f": {shown(view.reason)}" if view.reason else ""
        detail = f"{shown(name)} is {view.state} in the vendor register{why}"
        yield _observed(view.state.value, Severity.CRITICAL, detail)
    if signer is not None:
        yield from _key_observations(vendor_key(name), signer, view)


def owner_of(path: Path, key: EllipticCurvePublicKey, view: VendorView) -> str | None:
    """Returns the vendor that a trusted key vouches for, or None when nobody said."""
    bound = view.owners.get(fingerprint(key))
    named = path.name.partition(".")[0]
    return bound or (vendor_key(named) if named else None)


def _key_observations(
    vendor: str, signer: tuple[Path, EllipticCurvePublicKey], view: VendorView
) -> Iterator[Observation]:
    path, key = signer
    owner = owner_of(path, key, view)
    if owner == vendor:
        return
    short = fingerprint(key)[:16]
    if owner in view.known or fingerprint(key) in view.owners:
        detail = f"the bundle is {vendor}'s, but {path.name} ({short}…) is the key of {owner}"
        yield _observed("foreign_key", Severity.HIGH, detail)
    else:
        detail = (
            f"{path.name} ({short}…) signed it, but nobody bound that key to {vendor}: "
            f"proofhouse vendors trust {vendor} {path.name}"
        )
        yield _observed("unbound_key", Severity.MEDIUM, detail)


def _observed(rule: str, severity: Severity, detail: str) -> Observation:
    return Observation(rule=FAMILY + rule, severity=severity, detail=detail[:2000])
