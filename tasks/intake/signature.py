"""Does the vendor's signature hold: made by a signer we trust, over exactly the bytes that came?

Who signed is decided here or by ``certificates`` and ``keyless``; whole files by SHA-256 are
compared with the digests that quarantine computed, without copying the model again. Only other
serializations (shards, other hashes) go through the ``model_signing`` library, on a copy.
"""

import contextlib
import datetime as dt
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tasks.domain.bundle import BundleSpec, FileEntry
from tasks.domain.errors import InvalidInputError
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.certificates import UntrustedChainError, certificate_signer, is_one_of
from tasks.intake.envelope import Envelope, Statement, parse_envelope, parse_statement
from tasks.intake.keyless import ExpiredCertificateError, UnknownAuthorityError, verify_keyless
from tasks.intake.names import shown
from tasks.intake.scratch import scratch
from tasks.intake.signed_files import SignedFiles, some
from tasks.intake.trust import TrustedKeys, is_made_by, read_trusted
from tasks.store.protocol import ObjectStore

__all__ = ["SignatureReading", "State", "TrustedKeys", "read_trusted"]
MOST_SIGNATURE_BYTES = 16 << 20


class State(StrEnum):
    """What became of the signature. Only ``valid`` reassures."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN_KEY = "unknown_key"
    WRONG_IDENTITY = "wrong_identity"
    EXPIRED = "expired"
    UNREADABLE = "unreadable"
    NOT_AVAILABLE = "not_available"
    ABSENT = "absent"


_SEVERITY = {
    State.VALID: Severity.INFO,
    State.ABSENT: Severity.MEDIUM,
    State.NOT_AVAILABLE: Severity.MEDIUM,
    State.EXPIRED: Severity.MEDIUM,
    State.UNKNOWN_KEY: Severity.HIGH,
    State.WRONG_IDENTITY: Severity.HIGH,
    State.UNREADABLE: Severity.HIGH,
    State.INVALID: Severity.CRITICAL,
}


class _Signed(NamedTuple):
    """Who made a signature that holds: in words, the key, and what is wrong with that one.

    ``anybody`` says that nobody in particular was expected: any holder of a certificate will do.
    """

    by: str
    key: ec.EllipticCurvePublicKey | None = None
    state: State | None = None
    problem: str = ""
    anybody: bool = False


class _RefusalError(Exception):
    """No signer is established; the signature has this state instead."""

    def __init__(self, state: State, detail: str) -> None:
        super().__init__(detail)
        self.state, self.detail = state, detail


def signer_of(
    spec: BundleSpec, files: Sequence[FileEntry], store: ObjectStore, trusted: TrustedKeys
) -> tuple[Path, ec.EllipticCurvePublicKey] | None:
    """Returns the trusted key that made a bundle's signature, or None; says nothing of the bytes.

    Only for signatures by key: certificates name their holder themselves.
    """
    told = spec.signature
    file = next((file for file in files if told is not None and file.path == told.path), None)
    if file is None or file.size_bytes > MOST_SIGNATURE_BYTES:
        return None
    try:
        envelope = parse_envelope(store.get(file.digest))
    except InvalidInputError:
        return None
    return next(
        ((path, key) for path, key in trusted.keys if is_made_by(key, *envelope.signed())), None
    )


class SignatureReading:
    """One bundle's signature held against its files.

    Args:
        spec: What the manifest says of the signature and the artifact.
        files: What lies in quarantine.
        store: Where it lies.
        trusted: Whose signatures count.
        workspace: For a copy of the files, when the library must read them.
        now: When a certificate must still be valid; the present by default.
    """

    def __init__(
        self,
        spec: BundleSpec,
        files: Sequence[FileEntry],
        store: ObjectStore,
        *,
        trusted: TrustedKeys,
        workspace: Path,
        now: dt.datetime | None = None,
    ) -> None:
        self._spec = spec
        self._files = {file.path: file for file in files}
        self._store = store
        self._trusted = trusted
        self._workspace = workspace
        self._now = now or dt.datetime.now(dt.UTC)

    def observations(self) -> tuple[Observation, ...]:
        """Returns one observation of the state, and more about what the signature leaves out."""
        told = self._spec.signature
        if told is None:
            return (self._state(State.ABSENT, "the bundle is not signed"),)
        file = self._files[told.path]
        if file.size_bytes > MOST_SIGNATURE_BYTES:
            return (self._state(State.UNREADABLE, f"{file.size_bytes} bytes are no signature"),)
        data = self._store.get(file.digest)
        try:
            envelope = parse_envelope(data)
            statement = parse_statement(envelope.payload)
            signed = self._signer(told.method, envelope, data)
        except InvalidInputError as error:
            return (self._state(State.UNREADABLE, error.message),)
        except _RefusalError as refusal:
            return (self._state(refusal.state, refusal.detail),)
        return tuple(self._judged(signed, statement, data))

    def _signer(self, method: str, envelope: Envelope, data: bytes) -> _Signed:
        if method == "sigstore":
            return self._by_sigstore(envelope, data)
        return self._by_certificate(envelope) if method == "certificate" else self._by_key(envelope)

    def _by_key(self, envelope: Envelope) -> _Signed:
        made = [
            (path, key) for path, key in self._trusted.keys if is_made_by(key, *envelope.signed())
        ]
        if not made:
            known = len(self._trusted.keys)
            raise _RefusalError(State.UNKNOWN_KEY, f"none of the {known} trusted keys made it")
        path, key = made[0]
        vendor = self._spec.vendor.name
        if not any(self._trusted.key_speaks_for(each, vendor) for each, _ in made):
            problem = f"the key {path.stem} does not speak for {shown(vendor, 80)}"
            return _Signed(f"key {path.stem}", key, State.WRONG_IDENTITY, problem)
        return _Signed(f"key {path.stem}", key)

    def _by_certificate(self, envelope: Envelope) -> _Signed:
        if not self._trusted.certificates:
            raise _RefusalError(State.UNKNOWN_KEY, "no trusted certificate authority is set up")
        try:
            signer = certificate_signer(envelope.certificates, self._trusted)
        except UntrustedChainError as error:
            raise _RefusalError(State.UNKNOWN_KEY, error.message) from error
        if not is_made_by(signer.key, *envelope.signed()):
            raise _RefusalError(State.INVALID, "the certificate's key did not make this signature")
        by = f"a certificate of {', '.join(shown(name, 80) for name in signer.names) or 'nobody'}"
        vendor = self._spec.vendor.name
        if not is_one_of(signer.names, self._trusted.identities_of(vendor)):
            problem = f"it does not speak for {shown(vendor, 80)}"
            return _Signed(by, signer.key, State.WRONG_IDENTITY, problem)
        if signer.ends < self._now:
            problem = (
                f"it ended on {signer.ends:%Y-%m-%d} and nothing proves that the signature was "
                "made before"
            )
            return _Signed(by, signer.key, State.EXPIRED, problem)
        return _Signed(by, signer.key, anybody=not self._trusted.identities_of(vendor))

    def _by_sigstore(self, envelope: Envelope, data: bytes) -> _Signed:
        root, vendor = self._trusted.sigstore_root, self._spec.vendor.name
        if root is None:
            raise _RefusalError(
                State.NOT_AVAILABLE, "no Sigstore trusted root is set up to verify it offline"
            )
        try:
            found = verify_keyless(data, root, self._trusted.identities_of(vendor))
        except UnknownAuthorityError as error:
            raise _RefusalError(State.UNKNOWN_KEY, error.message) from error
        except ExpiredCertificateError as error:
            raise _RefusalError(State.EXPIRED, error.message) from error
        except InvalidInputError as error:
            raise _RefusalError(State.INVALID, error.message) from error
        if found.payload != envelope.payload:
            raise _RefusalError(State.INVALID, "the verified payload is not the one that was read")
        by = f"the Sigstore identity {found.signer}"
        if not found.expected:
            problem = f"it is not set up to speak for {shown(vendor, 80)}"
            return _Signed(by, None, State.WRONG_IDENTITY, problem)
        return _Signed(by)

    def _judged(self, signed: _Signed, statement: Statement, data: bytes) -> Iterator[Observation]:
        listed = SignedFiles(statement, self._spec, self._files.values())
        problems = listed.differences()
        if not problems and not statement.plain:
            problems = self._library(listed, data, signed.key)
        if problems:
            detail = f"signed with {signed.by}, but {'; '.join(problems)}"
            yield self._state(State.INVALID, detail)
        elif signed.state is not None:
            yield self._state(signed.state, f"signed with {signed.by}, but {signed.problem}")
        else:
            detail = f"signed with {signed.by}; every signed byte is as it was"
            yield self._state(State.VALID, detail)
            if signed.anybody:
                detail = (
                    "no identity is expected: any holder of such a certificate could have signed"
                )
                yield _observed("any_identity", Severity.LOW, detail, "")
        yield from self._left_out(listed)

    def _left_out(self, listed: SignedFiles) -> Iterator[Observation]:
        coverage, artifact = listed.coverage(), self._spec.model.artifact or ""
        if not coverage.artifact:
            detail = f"{shown(artifact)} is not among the signed files"
            yield _observed("artifact_not_covered", Severity.HIGH, detail, artifact)
        if coverage.unsigned:
            detail = f"{len(coverage.unsigned)} files are not covered: {some(coverage.unsigned)}"
            yield _observed("unsigned_files", Severity.LOW, detail, "")

    def _library(
        self, listed: SignedFiles, data: bytes, key: ec.EllipticCurvePublicKey | None
    ) -> list[str]:
        """Lets ``model_signing`` hash a copy of the signed folder; returns what it objects to."""
        if key is None:
            return ["only whole files by SHA-256 are verified for Sigstore signatures"]
        import model_signing.verifying  # noqa: PLC0415 - half a second, rarely needed

        if listed.shards() > len(listed.statement.resources):
            return ["the signed list has fewer shards than the files need"]
        config = model_signing.verifying.Config()  # type: ignore[no-untyped-call]  # the library leaves it bare
        config.set_hashing_config(_hashing(listed.statement))
        with scratch(self._workspace, "signed") as folder:
            signature, public = folder / "model.sig", folder / "key.pub"
            signature.write_bytes(_as_by_key(data, key))
            public.write_bytes(_pem(key))
            model = self._copied(listed, folder / "model")
            config.use_elliptic_key_verifier(public_key=public)
            try:
                # The library prints a warning about old signatures to stdout.
                with contextlib.redirect_stdout(io.StringIO()):
                    config.verify(model, signature)
            except Exception as error:  # noqa: BLE001 - it raises what its parsers raise
                words = str(error).replace(str(folder), "")
                return [f"it does not verify: {type(error).__name__}: {shown(words)}"]
        return []

    def _copied(self, listed: SignedFiles, into: Path) -> Path:
        if (lone := listed.lone()) is not None:
            self._store.fetch(lone.digest, into)
            return into
        for name, file in listed.placed():
            place = into / name
            place.parent.mkdir(parents=True, exist_ok=True)
            self._store.fetch(file.digest, place)
        return into

    def _state(self, state: State, detail: str) -> Observation:
        told = self._spec.signature
        return _observed(state.value, _SEVERITY[state], detail, told.path if told else "")


def _pem(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _as_by_key(data: bytes, key: ec.EllipticCurvePublicKey) -> bytes:
    """Returns the bundle as if its key had been given bare: the chain was verified before."""
    bundle = json.loads(data)
    bundle["verificationMaterial"] = {
        "publicKey": {"hint": hashlib.sha256(_pem(key)).hexdigest()},
        "tlogEntries": [],
    }
    return json.dumps(bundle).encode()


def _hashing(statement: Statement) -> Any:
    """Tells the library how to hash; left to itself it takes a shard size for a fraction."""
    from model_signing import hashing  # noqa: PLC0415 - with the rest of the library

    config = hashing.Config()  # type: ignore[no-untyped-call]  # the library leaves it bare
    algorithm: Any = "blake2" if statement.hash_type == "blake2b" else statement.hash_type
    if statement.shard_bytes:
        config.use_shard_serialization(
            hashing_algorithm=algorithm, shard_size=statement.shard_bytes
        )
    else:
        config.use_file_serialization(hashing_algorithm=algorithm)
    return config.set_ignored_paths(paths=statement.ignored, ignore_git_paths=False)


def _observed(rule: str, severity: Severity, detail: str, location: str) -> Observation:
    return Observation(
        rule=f"provenance.signature.{rule}",
        severity=severity,
        detail=detail[:2000],
        location=location,
    )
