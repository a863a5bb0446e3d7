"""Writes signed attestations: in-toto statements in DSSE envelopes, one to a line.

For the demo, for tests, and for own teams that hand in what they have built.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tasks.domain.digest import digest_of_file, hexadecimal
from tasks.domain.errors import SigningError
from tasks.intake.envelope import PAYLOAD_TYPE, Envelope
from tasks.intake.trust import HASHES

SLSA_V1 = "https://slsa.dev/provenance/v1"


def resource(folder: Path, path: str) -> dict[str, Any]:
    """Returns the in-toto descriptor of a file: its path and the SHA-256 of its bytes."""
    return {"name": path, "digest": {"sha256": hexadecimal(digest_of_file(folder / path))}}


def slsa_statement(
    subjects: Iterable[Mapping[str, Any]],
    *,
    builder: str,
    build_type: str,
    parameters: Mapping[str, Any],
    dependencies: Iterable[Mapping[str, Any]],
) -> dict[str, Any]:
    """Builds an in-toto Statement v1 with SLSA Provenance v1.

    Args:
        subjects: Descriptors of what was made.
        builder: Address that names the build service.
        build_type: Address that says how ``parameters`` are to be read.
        parameters: What was asked for: preprocessing, trainer, seeds.
        dependencies: Descriptors of what was used: code by commit, data by digest.
    """
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": list(subjects),
        "predicateType": SLSA_V1,
        "predicate": {
            "buildDefinition": {
                "buildType": build_type,
                "externalParameters": dict(parameters),
                "resolvedDependencies": list(dependencies),
            },
            "runDetails": {"builder": {"id": builder}},
        },
    }


def signed_line(statement: Mapping[str, Any], key: Path) -> str:
    """Returns a DSSE envelope (protocol 1.0.0) over a statement, as one line of JSON.

    Raises:
        SigningError: The key is no P-256, P-384 or P-521 private key in PEM.
    """
    payload = json.dumps(statement, sort_keys=True).encode()
    private = _private_key(key)
    made = private.sign(Envelope(payload, b"").signed_bytes(), ec.ECDSA(HASHES[private.curve.name]))
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"sig": base64.b64encode(made).decode()}],
    }
    return json.dumps(envelope) + "\n"


def _private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise SigningError(f"The key {path} cannot be read: {error}.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in HASHES:
        raise SigningError(f"The key {path} is not a P-256, P-384 or P-521 key.")
    return key
