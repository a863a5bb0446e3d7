"""An OpenSSF model signature as data: a Sigstore bundle around a DSSE envelope around a statement.

Formats: DSSE protocol 1.0.0; in-toto Statement v1 with predicate
``https://model_signing/signature/v1.0``, which lists every signed file with its digest.
"""

import base64
import hashlib
import re
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.domain.errors import InvalidInputError
from tasks.intake.strict_json import JsonCaps, parse_json

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_CAPS = JsonCaps(most_bytes=16 << 20)
_HEX = re.compile(r"(?:[0-9a-f]{2}){1,128}")


class Resource(NamedTuple):
    """One signed file (or shard of it), named relative to the folder that was signed."""

    name: str
    algorithm: str
    digest: str


class Statement(NamedTuple):
    """What was signed. ``plain`` means whole files by SHA-256; others need the library.

    ``shard_bytes`` is 0 for whole files; ``hash_type`` is the library's name of the hash.
    """

    resources: tuple[Resource, ...]
    ignored: tuple[str, ...]
    plain: bool
    hash_type: str
    shard_bytes: int


class Envelope(NamedTuple):
    """A signature over a payload; neither is believed yet.

    ``certificates`` is the chain that came with it, base64 of DER, the signing one first.
    """

    payload: bytes
    signature: bytes
    certificates: tuple[str, ...] = ()

    def signed_bytes(self) -> bytes:
        """Returns the pre-authentication encoding (DSSE protocol, "Signature definition")."""
        head = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(self.payload)} "
        return head.encode() + self.payload

    def signed(self) -> tuple[bytes, bytes]:
        """Returns the signature and the bytes that it is over."""
        return self.signature, self.signed_bytes()


class _Loose(BaseModel):
    """Other people's formats grow keys; only those we use are checked."""

    model_config = ConfigDict(extra="ignore", frozen=True)


T_ = TypeVar("T_", bound=_Loose)


class _Signature(_Loose):
    sig: str


class _Dsse(_Loose):
    payload: str
    payload_type: Literal["application/vnd.in-toto+json"] = Field(alias="payloadType")
    signatures: tuple[_Signature, ...] = Field(min_length=1, max_length=1)


class _Certificate(_Loose):
    raw: str = Field(alias="rawBytes")


class _Chain(_Loose):
    certificates: tuple[_Certificate, ...] = ()


class _Material(_Loose):
    chain: _Chain = Field(default=_Chain(), alias="x509CertificateChain")
    certificate: _Certificate | None = None


class _Bundle(_Loose):
    media_type: str = Field(
        alias="mediaType", pattern=r"^application/vnd\.dev\.sigstore\.bundle[.+]"
    )
    envelope: _Dsse = Field(alias="dsseEnvelope")
    material: _Material = Field(default=_Material(), alias="verificationMaterial")


class _Sha256(_Loose):
    sha256: str


class _Subject(_Loose):
    digest: _Sha256


class _Item(_Loose):
    name: str
    algorithm: str
    digest: str


class _Serialization(_Loose):
    method: Literal["files", "shards"]
    hash_type: Literal["sha256", "blake2", "blake2b", "blake3"]
    shard_size: float = Field(default=0, ge=0, le=1 << 50)
    ignore_paths: tuple[str, ...] = ()


class _Predicate(_Loose):
    serialization: _Serialization
    resources: tuple[_Item, ...] = Field(min_length=1)


class _Statement(_Loose):
    type_: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    predicate_type: Literal["https://model_signing/signature/v1.0"] = Field(alias="predicateType")
    subject: tuple[_Subject, ...] = Field(min_length=1, max_length=1)
    predicate: _Predicate


def parse_envelope(data: bytes) -> Envelope:
    """Returns the one signature of a Sigstore bundle.

    Raises:
        InvalidInputError: Not such a bundle, or not exactly one signature in it.
    """
    bundle = _validated(_Bundle, parse_json(data, place="the signature", caps=_CAPS))
    envelope, material = bundle.envelope, bundle.material
    lone = (material.certificate,) if material.certificate else ()
    try:
        return Envelope(
            base64.b64decode(envelope.payload, validate=True),
            base64.b64decode(envelope.signatures[0].sig, validate=True),
            tuple(each.raw for each in (*lone, *material.chain.certificates)),
        )
    except ValueError as error:
        raise InvalidInputError(f"The signature is not base64: {error}.") from error


def parse_statement(payload: bytes) -> Statement:
    """Returns the list of signed files.

    Raises:
        InvalidInputError: Another kind of statement, or one that contradicts itself.
    """
    value = parse_json(payload, place="the signed statement", caps=_CAPS)
    found = _validated(_Statement, value)
    items = found.predicate.resources
    names = [item.name for item in items]
    if len(set(names)) != len(names):
        raise InvalidInputError("The signed statement lists a file twice.")
    if not all(_HEX.fullmatch(item.digest) for item in items):
        raise InvalidInputError("The signed statement holds a digest that is not hexadecimal.")
    root = hashlib.sha256(b"".join(bytes.fromhex(item.digest) for item in items)).hexdigest()
    if root != found.subject[0].digest.sha256:
        raise InvalidInputError("The signed statement's root digest contradicts its list of files.")
    serialization = found.predicate.serialization
    plain = serialization.method == "files" and all(i.algorithm == "sha256" for i in items)
    # A shard is named path:start:end; files here never have colons in their names.
    cut = 2 if serialization.method == "shards" else 0
    return Statement(
        tuple(Resource(_path(item.name, cut), item.algorithm, item.digest) for item in items),
        serialization.ignore_paths,
        plain,
        serialization.hash_type,
        int(serialization.shard_size) if serialization.method == "shards" else 0,
    )


def _path(name: str, cut: int) -> str:
    return name.rsplit(":", cut)[0] if cut else name


def _validated(model: type[T_], value: Any) -> T_:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in issue['loc'])}: {issue['msg']}"
            for issue in error.errors()[:5]
        )
        raise InvalidInputError(f"The signature is not an OpenSSF one: {problems}.") from error
