"""Writes the papers of an honest bundle: a signing key, an AI-BOM, a signature.

For the demo, for tests, and for own teams that hand in what they have built.
"""

import json
import uuid
from pathlib import Path
from typing import Any

from tasks.domain.bundle import BundleSpec
from tasks.domain.digest import digest_of_file, hexadecimal
from tasks.intake.manifest import MANIFEST, parse_manifest

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


def sign_model(folder: Path, key: Path, *, signature: str = "model.sig") -> Path:
    """Signs every file of ``folder`` but the signature itself (OpenSSF model signing, key method).

    Write everything else first, ``bundle.yaml`` included: a later change breaks the signature.

    Returns:
        The path of the signature.
    """
    # Half a second of imports that only signers pay.
    from model_signing import hashing, signing  # noqa: PLC0415

    place = folder / signature
    place.unlink(missing_ok=True)
    every = hashing.Config()  # type: ignore[no-untyped-call]  # the library leaves it bare
    ignoring = every.set_ignored_paths(paths=[signature], ignore_git_paths=False)
    config = signing.Config().use_elliptic_key_signer(private_key=key)  # type: ignore[no-untyped-call]  # the library leaves it bare
    config.set_hashing_config(ignoring).sign(folder, place)
    return place


def write_bom(folder: Path, *, name: str = "bom.cdx.json") -> Path:
    """Writes a CycloneDX 1.6 AI-BOM of the bundle in ``folder``, from its ``bundle.yaml``.

    The model and every data file become components with the SHA-256 of their bytes. Equal bundles
    give equal bytes: the serial number derives from the content.

    Returns:
        The path of the BOM.
    """
    spec = parse_manifest((folder / MANIFEST).read_bytes())
    components = [_model(folder, spec)]
    for role, data in (("evaluation", spec.data.evaluation), ("training", spec.data.training)):
        if data is not None:
            components.append(_data(folder, role, data.path))
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
    return {
        "type": "data",
        "bom-ref": f"data-{role}",
        "name": path,
        "hashes": [_hash(folder / path)],
        "properties": [{"name": "proofhouse:path", "value": path}],
        "data": [{"type": "dataset", "name": role}],
    }


def _hash(path: Path) -> dict[str, str]:
    return {"alg": "SHA-256", "content": hexadecimal(digest_of_file(path))}
