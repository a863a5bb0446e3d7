"""Writes the papers of an honest bundle: a signing key, an AI-BOM, a signature.

For the demo, for tests, and for own teams that hand in what they have built.
"""

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tasks.domain.bundle import BundleSpec
from tasks.domain.digest import digest_of_file, hexadecimal
from tasks.domain.errors import SigningError
from tasks.intake.manifest import MANIFEST, parse_manifest
from tasks.intake.requirements import read_dependencies

_NAMESPACE = uuid.UUID("5f0f1f5e-6c1b-5a53-8d0b-2f9d9c0b7a11")


def make_vendor_key(private: Path) -> Path:
    """Makes a P-256 key pair in PEM: ``private`` (mode 0600) and, beside it, ``*.pub``.

    Returns:
        The path of the public key.
    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - see sign_model
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    private.parent.mkdir(parents=True, exist_ok=True)
    private.touch(mode=0o600, exist_ok=False)
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public = private.with_suffix(".pub")
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return public


class SigningKey(NamedTuple):
    """What signs: a private key in PEM, and the certificate chain that vouches for it, if any.

    ``password`` opens an encrypted key. Without ``certificate`` the method is ``key``.
    """

    private: Path
    certificate: Path | None = None
    chain: tuple[Path, ...] = ()
    password: str | None = None


def sign_model(
    model: Path,
    key: Path | SigningKey,
    *,
    signature: str | Path = "model.sig",
    ignored: Sequence[str] = (),
) -> Path:
    """Signs every file of a folder but the signature itself, or one file (OpenSSF model signing).

    Write everything else first, ``bundle.yaml`` included: a later change breaks the signature.

    Args:
        model: A folder, or a model file that is signed alone.
        key: Who signs.
        signature: Where the signature goes; a relative path lies in the folder (for a file, beside
            it).
        ignored: Paths below the folder that are left out, told to every verifier.

    Returns:
        The path of the signature.

    Raises:
        SigningError: The key cannot be used, or the folder holds what cannot be signed (symbolic
            links, for example).
    """
    # Half a second of imports that only signers pay.
    from model_signing import hashing  # noqa: PLC0415

    folder = model if model.is_dir() else model.parent
    place = folder / signature
    place.unlink(missing_ok=True)
    config = _signer(key if isinstance(key, SigningKey) else SigningKey(key))
    every = hashing.Config()  # type: ignore[no-untyped-call]  # the library leaves it bare
    inside = [place.relative_to(folder)] if place.is_relative_to(folder) else []
    if model.is_dir():
        every.set_ignored_paths(paths=[*inside, *map(Path, ignored)], ignore_git_paths=False)
    try:
        config.set_hashing_config(every).sign(model, place)
    except (OSError, ValueError) as error:
        raise SigningError(f"{model} cannot be signed: {error}") from error
    return place


def _signer(key: SigningKey) -> Any:
    from model_signing import signing  # noqa: PLC0415 - see sign_model

    config = signing.Config()  # type: ignore[no-untyped-call]  # the library leaves it bare
    try:
        if key.certificate is not None:
            return config.use_certificate_signer(
                private_key=key.private,
                signing_certificate=key.certificate,
                certificate_chain=list(key.chain),
            )
        return config.use_elliptic_key_signer(
            private_key=key.private,
            # The library hands this on to a function that wants bytes.
            password=key.password.encode() if key.password else None,  # type: ignore[arg-type]
        )
    except (OSError, ValueError, TypeError) as error:
        raise SigningError(
            f"The key {key.private} cannot sign: {error}. It must be a P-256, P-384 or P-521 "
            "private key in PEM, and the certificate, if any, must be its own."
        ) from error


def write_bom(folder: Path, *, name: str = "bom.cdx.json") -> Path:
    """Writes a CycloneDX 1.6 AI-BOM of the bundle in ``folder``, from its ``bundle.yaml``.

    Model, architecture and data files become components with the SHA-256 of their bytes, the
    packages of ``documents.requirements`` libraries. Equal bundles give equal bytes: the serial
    number derives from the content.

    Returns:
        The path of the BOM.
    """
    spec = parse_manifest((folder / MANIFEST).read_bytes())
    components = [_model(folder, spec)]
    for role, data in (("evaluation", spec.data.evaluation), ("training", spec.data.training)):
        if data is not None:
            components.append(_data(folder, role, data.path))
    if spec.model.architecture:
        components.append(_file(folder, spec.model.architecture))
    if spec.documents.requirements:
        components += _packages(folder, spec.documents.requirements)
    content = json.dumps(components, sort_keys=True)
    bom = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, content)}",
        "version": 1,
        "components": components,
    }
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(bom, indent=2) + "\n", encoding="utf-8")
    return place


def _model(folder: Path, spec: BundleSpec) -> dict[str, Any]:
    model = spec.model
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": model.name,
        "version": model.version,
        "supplier": {"name": spec.vendor.name},
        "modelCard": {
            "modelParameters": {"task": model.task},
            "considerations": {"useCases": [model.intended_use]} if model.intended_use else {},
        },
    }
    if spec.claims.licence:
        component["licenses"] = [{"license": {"name": spec.claims.licence}}]
    if model.artifact:
        component["hashes"] = [_hash(folder / model.artifact)]
        component["properties"] = [{"name": "proofhouse:path", "value": model.artifact}]
    return component


def _data(folder: Path, role: str, path: str) -> dict[str, Any]:
    told = {"type": "data", "bom-ref": f"data-{role}"}
    return _file(folder, path) | told | {"data": [{"type": "dataset", "name": role}]}


def _file(folder: Path, path: str) -> dict[str, Any]:
    return {
        "type": "file",
        "bom-ref": f"file-{path}",
        "name": path,
        "hashes": [_hash(folder / path)],
        "properties": [{"name": "proofhouse:path", "value": path}],
    }


def _packages(folder: Path, path: str) -> list[dict[str, Any]]:
    listing = read_dependencies((folder / path).read_bytes(), path)
    return [
        {
            "type": "library",
            "bom-ref": f"package-{item.name}",
            "name": item.name,
            "version": item.pinned,
            "purl": f"pkg:pypi/{item.name}@{item.pinned}",
        }
        for item in listing.dependencies
        if item.pinned
    ]


def _hash(path: Path) -> dict[str, str]:
    return {"alg": "SHA-256", "content": hexadecimal(digest_of_file(path))}
