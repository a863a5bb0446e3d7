"""``proofhouse sign``: an OpenSSF model signature over a model or a whole bundle."""

import os
from collections.abc import Sequence
from pathlib import Path

from tasks.cli import Answer
from tasks.domain.digest import digest_of_file
from tasks.domain.errors import InvalidInputError
from tasks.intake.writing import SigningKey, sign_model

PASSWORD = "PROOFHOUSE_KEY_PASSWORD"


def sign_answer(
    model: Path,
    key: Path,
    *,
    certificate: Path | None,
    chain: Sequence[Path],
    signature: Path,
    ignored: Sequence[str],
) -> Answer:
    """Signs, and says where the signature lies."""
    for path, what in ((model, "model"), (key, "key")):
        if not path.exists():
            raise InvalidInputError(f"The {what} {path} does not exist. Correct the path.")
    if chain and certificate is None:
        raise InvalidInputError("--chain belongs to a --certificate. Name the key's certificate.")
    signer = SigningKey(key, certificate, tuple(chain), os.environ.get(PASSWORD))
    place = sign_model(model, signer, signature=signature, ignored=ignored)
    method = "certificate" if certificate else "key"
    document = {
        "signature": str(place),
        "method": method,
        "digest": digest_of_file(place),
    }
    return Answer(document, [f"{place} (method {method})"])
