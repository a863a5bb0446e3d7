"""DSSE envelopes: bytes, their type, and who signed both.

Verification is a pure decision over bytes and trust. Every signature in an envelope must be by a
trusted key, valid, and made while the key was in force; anything else has its own reason in
:mod:`tasks.ledger.rejections`. Source: DSSE protocol v1.0.2 (secure-systems-lab/dsse).
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Key, Signature, Signer

from tasks.domain.errors import ProofhouseError, SigningError
from tasks.domain.frozen import canonical_json
from tasks.ledger.rejections import (
    BadSignatureError,
    DoubledSignatureError,
    ExtraSignatureError,
    MalformedError,
    UnknownKeyError,
    UnsignedError,
    WrongKeyError,
    WrongTypeError,
)
from tasks.ledger.strict_json import MOST_BYTES, decode_base64, parse_canonical
from tasks.ledger.trust import Trust

MOST_SIGNATURES = 16
_FIELDS = {"payload", "payloadType", "signatures"}


class Opened(NamedTuple):
    """What an envelope held, and the ids of the keys that signed it."""

    payload: bytes
    keyids: tuple[str, ...]


class Moment(NamedTuple):
    """When a payload says it was signed; ``at_latest`` as in :meth:`Trust.verify_standing`."""

    signed: datetime
    at_latest: bool = False


def sign_envelope(payload: bytes, *, payload_type: str, signer: Signer) -> bytes:
    """Returns the canonical JSON of an envelope around ``payload``.

    Raises:
        SigningError: The key does not sign.
    """
    envelope = Envelope(payload, payload_type, {})
    try:
        envelope.sign(signer)
    except ProofhouseError:
        raise
    except Exception as error:  # file, token and cloud keys raise classes of their own
        raise SigningError(
            f"The key {signer.public_key.keyid} did not sign: {type(error).__name__}: {error}. "
            "Nothing was sealed; mend the key and run again."
        ) from error
    return canonical_json(envelope.to_dict())


def read_envelope(
    data: bytes, *, payload_type: str, place: str, most_bytes: int = MOST_BYTES
) -> Envelope:
    """Reads an envelope without deciding whether its signatures count.

    Raises:
        MalformedError, TooLargeError, BadBase64Error, WrongTypeError, UnsignedError,
        DoubledSignatureError: As their names say.
    """
    document = parse_canonical(data, place=place, most_bytes=most_bytes)
    if not isinstance(document, dict) or set(document) != _FIELDS:
        raise MalformedError(f"{place} is no DSSE envelope: it needs exactly {sorted(_FIELDS)}")
    if document["payloadType"] != payload_type:
        raise WrongTypeError(
            f"{place} carries {str(document['payloadType'])[:100]!r}, expected {payload_type!r}"
        )
    payload = decode_base64(document["payload"], place=f"the payload of {place}")
    return Envelope(payload, payload_type, _signatures(document["signatures"], place))


def verify_envelope(
    data: bytes,
    *,
    payload_type: str,
    trust: Trust,
    dated: Callable[[bytes], Moment],
    place: str,
    most_bytes: int = MOST_BYTES,
) -> Opened:
    """Returns the payload when every signature on it counts.

    Args:
        data: The envelope's bytes.
        payload_type: What it must carry.
        trust: Which keys count, and when.
        dated: Reads from a payload the moment it was signed.
        place: The object or claim that holds it, for messages.
        most_bytes: Longest envelope that is looked at.

    Raises:
        EvidenceError: One of :mod:`tasks.ledger.rejections`.
    """
    envelope = read_envelope(data, payload_type=payload_type, place=place, most_bytes=most_bytes)
    known = {keyid: trust.key(keyid) for keyid in envelope.signatures}
    if not any(known.values()):
        raise UnknownKeyError(f"{place} is signed by {_listed(known)}, which nobody here trusts")
    for keyid, key in known.items():
        if key is None:
            raise ExtraSignatureError(f"{place} carries a further signature by unknown key {keyid}")
        _verify_signature(envelope, key, trust, place)
    moment = dated(envelope.payload)
    for keyid in known:
        trust.verify_standing(keyid, signed=moment.signed, place=place, at_latest=moment.at_latest)
    return Opened(envelope.payload, tuple(known))


def _verify_signature(envelope: Envelope, key: Key, trust: Trust, place: str) -> None:
    signature, signed = envelope.signatures[key.keyid], envelope.pae()
    if _verifies(key, signature, signed):
        return
    for other in trust.keys.values():
        if other.keyid != key.keyid and _verifies(
            other, Signature(other.keyid, signature.signature), signed
        ):
            raise WrongKeyError(f"{place} names key {key.keyid}, but {other.keyid} signed it")
    raise BadSignatureError(
        f"{place} was not signed by {key.keyid} as it stands: it was changed, or another key signed"
    )


def _verifies(key: Key, signature: Signature, data: bytes) -> bool:
    try:
        key.verify_signature(signature, data)
    except UnverifiedSignatureError:
        return False
    return True


def _signatures(rows: Any, place: str) -> dict[str, Signature]:
    if not isinstance(rows, list) or len(rows) > MOST_SIGNATURES:
        raise MalformedError(f"{place}: signatures is no list of at most {MOST_SIGNATURES}")
    if not rows:
        raise UnsignedError(f"{place} carries no signature")
    found: dict[str, Signature] = {}
    for row in rows:
        if not isinstance(row, dict) or set(row) != {"keyid", "sig"}:
            raise MalformedError(f"{place}: a signature needs exactly keyid and sig")
        keyid = row["keyid"]
        if not isinstance(keyid, str):
            raise MalformedError(f"{place}: a key id is no text")
        if keyid in found:
            raise DoubledSignatureError(f"{place} is signed twice by {keyid[:100]}")
        sig = decode_base64(row["sig"], place=f"a signature of {place}")
        found[keyid] = Signature(keyid, sig.hex())
    return found


def _listed(keyids: Any) -> str:
    return ", ".join(str(keyid)[:100] for keyid in keyids)
