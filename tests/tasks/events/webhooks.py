"""Webhooks as their senders make them."""

import base64
import hashlib
import hmac
import json
from typing import Any

from tasks.events.authenticating import bucket_token, signature

SECRET = b"a secret of thirty-two characters"
NOW = 1_800_000_000.0


def record(key: str = "bundles/acme/bundle.yaml", **changed: Any) -> dict[str, Any]:
    """A record as RADOS Gateway and AWS send it; keys are URL-encoded."""
    told: dict[str, Any] = {
        "eventVersion": "2.2",
        "eventName": "ObjectCreated:Put",
        "eventTime": "2026-05-01T00:00:00Z",
        "s3": {
            "bucket": {"name": "intake"},
            "object": {"key": key, "versionId": "v1", "eTag": "e1"},
        },
        "opaqueData": bucket_token(SECRET, "intake"),
    }
    return told | changed


def notification(*records: dict[str, Any]) -> bytes:
    return json.dumps({"Records": list(records)}).encode()


def generic_headers(body: bytes, when: float = NOW, secret: bytes = SECRET) -> dict[str, str]:
    stamp = str(int(when))
    return {
        "x-proofhouse-timestamp": stamp,
        "x-proofhouse-signature": signature(secret, stamp, body),
    }


def mlflow_headers(body: bytes, when: float = NOW, secret: bytes = SECRET) -> dict[str, str]:
    stamp = str(int(when))
    signed = f"delivery-1.{stamp}.".encode() + body
    made = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    return {
        "x-mlflow-timestamp": stamp,
        "x-mlflow-delivery-id": "delivery-1",
        "x-mlflow-signature": f"v1,{made}",
    }


def git_headers(body: bytes, secret: bytes = SECRET) -> dict[str, str]:
    made = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return {"x-hub-signature-256": f"sha256={made}"}


MLFLOW = json.dumps(
    {
        "entity": "model_version_alias",
        "action": "created",
        "timestamp": "2026-05-01T00:00:00Z",
        "data": {"name": "Acme.reader", "alias": "champion", "version": "1"},
    }
).encode()
PUSH = json.dumps(
    {"ref": "refs/heads/main", "after": "0" * 40, "repository": {"full_name": "acme/catalogs"}}
).encode()
