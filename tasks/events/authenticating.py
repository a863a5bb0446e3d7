"""Who sent a webhook, and is it fresh? Pure decisions over headers and bytes.

- ``generic``: ``X-Proofhouse-Timestamp`` and ``X-Proofhouse-Signature: v1=<hex>``, HMAC-SHA256 over
  ``timestamp.body``.
- ``mlflow``: as MLflow signs its webhooks: ``v1,<base64>`` over ``delivery.timestamp.body``.
- ``git``: as GitHub signs: ``X-Hub-Signature-256: sha256=<hex>`` over the body. It signs no time,
  so a replay is caught by the body itself having been seen.
- ``s3``: notifications are not signed. Each record must carry the token of its bucket as opaque
  data (of the topic), which is the HMAC of the bucket's name.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path

from tasks.domain.errors import ProofhouseError

WINDOW_SECONDS = 300
"""How old, or how far ahead, a signed timestamp may be."""


class UnauthenticatedError(ProofhouseError):
    """A webhook is not from whom it should be, or not fresh. Says as little as it can."""

    code = "events.unauthenticated"


def make_secret(home: Path) -> bytes:
    """Returns the secret of this home's receiver, made at the first use (mode 0600)."""
    place = home / "secrets" / "events"
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = place.with_name(f".events-{secrets.token_hex(8)}")
    part.touch(mode=0o600)
    part.write_text(secrets.token_urlsafe(32), encoding="ascii")
    try:
        place.hardlink_to(part)
    except FileExistsError:
        pass  # another process, or an earlier one, was first: its secret counts
    finally:
        part.unlink()
    return place.read_bytes().strip()


def bucket_token(secret: bytes, bucket: str) -> str:
    """Returns the opaque data that notifications of a bucket must carry."""
    return hmac.digest(secret, b"s3 " + bucket.encode(), "sha256").hex()


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """Returns the ``X-Proofhouse-Signature`` of a body; the timestamp counts from 1970."""
    return "v1=" + hmac.digest(secret, timestamp.encode() + b"." + body, "sha256").hex()


def verify_generic(headers: Mapping[str, str], body: bytes, secret: bytes, now: float) -> None:
    """Raises :class:`UnauthenticatedError` unless the signature fits and is fresh."""
    timestamp = headers.get("x-proofhouse-timestamp", "")
    _verify_fresh(timestamp, now)
    _verify_same(signature(secret, timestamp, body), headers.get("x-proofhouse-signature", ""))


def verify_mlflow(headers: Mapping[str, str], body: bytes, secret: bytes, now: float) -> None:
    """Raises :class:`UnauthenticatedError` unless MLflow's signature fits and is fresh."""
    timestamp = headers.get("x-mlflow-timestamp", "")
    _verify_fresh(timestamp, now)
    delivery = headers.get("x-mlflow-delivery-id", "")
    signed = f"{delivery}.{timestamp}.".encode() + body
    made = base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
    _verify_same(f"v1,{made}", headers.get("x-mlflow-signature", ""))


def verify_git(headers: Mapping[str, str], body: bytes, secret: bytes) -> None:
    """Raises :class:`UnauthenticatedError` unless GitHub's signature fits."""
    made = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    _verify_same(made, headers.get("x-hub-signature-256", ""))


def verify_bucket(token: str, bucket: str, secret: bytes) -> None:
    """Raises :class:`UnauthenticatedError` unless a record carries its bucket's token."""
    _verify_same(bucket_token(secret, bucket), _plain(token))


def _plain(token: str) -> str:
    """Some gateways hand opaque data on in base64."""
    if len(token) == 64:
        return token
    try:
        return base64.b64decode(token, validate=True).decode("ascii", errors="replace")
    except (binascii.Error, ValueError):
        return token


def _verify_fresh(timestamp: str, now: float) -> None:
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        raise UnauthenticatedError("the timestamp is missing or no number of seconds")
    if abs(now - int(timestamp)) > WINDOW_SECONDS:
        raise UnauthenticatedError(f"the timestamp is off by more than {WINDOW_SECONDS} s")


def _verify_same(made: str, given: str) -> None:
    if not hmac.compare_digest(made.encode(), given.encode("utf-8", errors="replace")):
        raise UnauthenticatedError("the signature does not fit")
