"""Attestations about a model or dataset: in-toto statements, signed in DSSE envelopes or bare.

A document holds one JSON object, a list, or one object per line: DSSE envelopes, Sigstore bundles,
or bare statements. SLSA Provenance v1 and v0.2 are understood; other predicates are named only.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tasks.domain.errors import InvalidInputError
from tasks.intake.bom_component import digest_pair
from tasks.intake.envelope import PAYLOAD_TYPE, Envelope
from tasks.intake.names import shown
from tasks.intake.strict_json import JsonCaps, parse_json

SLSA = re.compile(r"https://slsa\.dev/provenance/v(?:1|1\.\d|0\.2)")
_STATEMENTS = {"https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"}
_CAPS = JsonCaps(most_bytes=4 << 20, nodes=200_000, depth=40)
_MOST_STATEMENTS, _MOST_ITEMS = 100, 10_000
_MOST_SIGNATURES = 20
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Resource(NamedTuple):
    """A named thing with digests: a subject, or something the build used."""

    name: str
    uri: str
    digests: frozenset[tuple[str, str]]
    commit: str = ""

    def sha256(self) -> frozenset[str]:
        """Returns the SHA-256 digests in hex."""
        return frozenset(value for name, value in self.digests if name == "sha256")


class Lineage(NamedTuple):
    """What SLSA provenance says of how something was made."""

    builder: str
    build_type: str
    parameters: Mapping[str, Any]
    dependencies: tuple[Resource, ...]
    started: str = ""
    finished: str = ""


class Statement(NamedTuple):
    """One in-toto statement; ``lineage`` is None for other predicates than SLSA provenance."""

    subjects: tuple[Resource, ...]
    predicate_type: str
    lineage: Lineage | None


class Signed(NamedTuple):
    """A statement's bytes as they came, with the signatures over them (none: bare)."""

    payload: bytes
    envelopes: tuple[Envelope, ...]
    bundle: bytes | None = None


def read_signed(data: bytes, *, place: str) -> tuple[Signed, ...]:
    """Splits a document into statements with their signatures. Nothing is verified yet.

    Raises:
        InvalidInputError: Not JSON, or holds something that is no attestation.
    """
    found = [_signed(value, raw, place) for value, raw in _objects(data, place)]
    if not found:
        raise InvalidInputError(f"{place} holds no attestation.")
    return tuple(found)


def parse_attestation(payload: bytes, *, place: str) -> Statement:
    """Reads the statement in a payload.

    Raises:
        InvalidInputError: No in-toto statement, or one without subjects.
    """
    value = _map(parse_json(payload, place=place, caps=_CAPS))
    if value.get("_type") not in _STATEMENTS:
        raise InvalidInputError(f"{place} holds no in-toto statement (its _type is another).")
    subjects = tuple(_resources(value.get("subject")))
    if not subjects:
        raise InvalidInputError(f"{place}: the statement has no subject.")
    kind = str(value.get("predicateType", ""))
    predicate = _map(value.get("predicate"))
    lineage = _lineage(predicate) if SLSA.fullmatch(kind) else None
    return Statement(subjects, shown(kind), lineage)


def _objects(data: bytes, place: str) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Yields each object with the bytes it came as."""
    lines = [line for line in data.splitlines() if line.strip()]
    by_line = len(lines) > 1 and all(line.strip()[-1:] == b"}" for line in lines)
    parts = lines if by_line and lines[0].strip()[:1] == b"{" else [data]
    if len(parts) > _MOST_STATEMENTS:
        raise InvalidInputError(f"{place} holds more than {_MOST_STATEMENTS} attestations.")
    for part in parts:
        value = parse_json(part, place=place, caps=_CAPS)
        items = value if isinstance(value, list) else [value]
        if len(items) > _MOST_STATEMENTS:
            raise InvalidInputError(f"{place} holds more than {_MOST_STATEMENTS} attestations.")
        for item in items:
            if not isinstance(item, dict):
                raise InvalidInputError(f"{place} holds something that is no attestation.")
            # What lies in a list has no bytes of its own; signatures are over payloads, not this.
            yield item, json.dumps(item).encode() if items is value else part


def _signed(value: dict[str, Any], raw: bytes, place: str) -> Signed:
    if "_type" in value:
        return Signed(raw, ())
    envelope, bundle = value, None
    chain: tuple[str, ...] = ()
    if "dsseEnvelope" in value:
        envelope, bundle = _map(value["dsseEnvelope"]), raw
        chain = tuple(_chain(_map(value.get("verificationMaterial"))))
    if envelope.get("payloadType") != PAYLOAD_TYPE:
        raise InvalidInputError(f"{place} holds something that is no in-toto attestation.")
    try:
        payload = _base64(envelope.get("payload"))
        made = [
            Envelope(payload, _base64(_map(item).get("sig")), chain)
            for item in _list(envelope.get("signatures"))[:_MOST_SIGNATURES]
        ]
    except ValueError as error:
        raise InvalidInputError(f"{place}: an envelope is not base64.") from error
    return Signed(payload, tuple(made), bundle)


def _chain(material: Mapping[str, Any]) -> Iterator[str]:
    lone = _map(material.get("certificate"))
    for item in (lone, *_list(_map(material.get("x509CertificateChain")).get("certificates"))):
        if isinstance(raw := _map(item).get("rawBytes"), str):
            yield raw


def _lineage(predicate: Mapping[str, Any]) -> Lineage:
    """SLSA v1 has buildDefinition and runDetails; v0.2 has builder, invocation and materials."""
    if "buildDefinition" not in predicate:
        invocation, metadata = _map(predicate.get("invocation")), _map(predicate.get("metadata"))
        return Lineage(
            _text(_map(predicate.get("builder")), "id"),
            _text(predicate, "buildType"),
            {"parameters": invocation.get("parameters"), "config": predicate.get("buildConfig")},
            tuple(_resources(predicate.get("materials"))),
            _text(metadata, "buildStartedOn"),
            _text(metadata, "buildFinishedOn"),
        )
    definition, details = _map(predicate["buildDefinition"]), _map(predicate.get("runDetails"))
    metadata = _map(details.get("metadata"))
    return Lineage(
        _text(_map(details.get("builder")), "id"),
        _text(definition, "buildType"),
        {
            "external": definition.get("externalParameters"),
            "internal": definition.get("internalParameters"),
        },
        tuple(_resources(definition.get("resolvedDependencies"))),
        _text(metadata, "startedOn"),
        _text(metadata, "finishedOn"),
    )


def _resources(value: Any) -> Iterator[Resource]:
    for item in _list(value)[:_MOST_ITEMS]:
        entry = _map(item)
        given = _map(entry.get("digest"))
        pairs = (digest_pair(name, text) for name, text in given.items())
        yield Resource(
            _text(entry, "name"),
            _text(entry, "uri"),
            frozenset(pair for pair in pairs if pair),
            _commit(given, _text(entry, "uri")),
        )


def _commit(given: Mapping[str, Any], uri: str) -> str:
    """A commit is named as such, or is the SHA-1 of something that a repository's address names."""
    names = ["gitCommit", "git_commit", "gitTree"]
    names += ["sha1"] if uri.startswith("git+") or uri.endswith(".git") else []
    found = (given.get(name) for name in names)
    return next((t for t in found if isinstance(t, str) and _COMMIT.fullmatch(t)), "")


def _base64(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError("no text")  # noqa: TRY004 - told as one reason with bad base64
    return base64.b64decode(value, validate=True)


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(node: Mapping[str, Any], key: str) -> str:
    value = node.get(key)
    return shown(value, 400) if isinstance(value, str) else ""
