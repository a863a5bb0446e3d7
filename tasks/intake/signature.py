"""Does the vendor's signature hold: made by a key we trust, over exactly the bytes that came?

The common case (EC key, whole files by SHA-256) is decided here, from the digests that quarantine
computed, without copying the model again. Other serializations and certificates go through the
``model_signing`` library, on a copy of the quarantined files.
"""

import contextlib
import io
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tasks.domain.bundle import BundleSpec, FileEntry
from tasks.domain.digest import hexadecimal
from tasks.domain.errors import InvalidInputError, SigningError
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.envelope import Envelope, Statement, parse_envelope, parse_statement
from tasks.intake.names import shown
from tasks.intake.scratch import scratch
from tasks.store.protocol import ObjectStore

# Hash by curve, as the Sigstore key details demand (PKIX_ECDSA_P256_SHA_256 …).
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
_MOST_NAMED = 5
MOST_SIGNATURE_BYTES = 16 << 20


class State(StrEnum):
    """What became of the signature. Only ``valid`` reassures."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN_KEY = "unknown_key"
    UNREADABLE = "unreadable"
    NOT_AVAILABLE = "not_available"
    ABSENT = "absent"


_SEVERITY = {
    State.VALID: Severity.INFO,
    State.ABSENT: Severity.MEDIUM,
    State.NOT_AVAILABLE: Severity.MEDIUM,
    State.UNKNOWN_KEY: Severity.HIGH,
    State.UNREADABLE: Severity.HIGH,
    State.INVALID: Severity.CRITICAL,
}


class TrustedKeys(NamedTuple):
    """What the operator trusts, by file name: EC public keys, and files of PEM certificates."""

    keys: tuple[tuple[Path, ec.EllipticCurvePublicKey], ...]
    certificates: tuple[Path, ...]


def read_trusted(paths: Sequence[Path]) -> TrustedKeys:
    """Reads the operator's trusted keys and certificates.

    Raises:
        SigningError: A file is unreadable or holds another kind of key: the operator's mistake.
    """
    keys: list[tuple[Path, ec.EllipticCurvePublicKey]] = []
    certificates: list[Path] = []
    for path in sorted(paths):
        try:
            data = path.read_bytes()
            if b"BEGIN CERTIFICATE" in data:
                certificates.append(path)
                continue
            key = serialization.load_pem_public_key(data)
        except (OSError, ValueError) as error:
            raise SigningError(
                f"The trusted key {path} cannot be read: {error}. It must be a PEM public key."
            ) from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _HASHES:
            raise SigningError(f"The trusted key {path} is not a P-256, P-384 or P-521 key.")
        keys.append((path, key))
    return TrustedKeys(tuple(keys), tuple(certificates))


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
    return next(((path, key) for path, key in trusted.keys if _made(envelope, key)), None)


class SignatureReading:
    """One bundle's signature held against its files.

    Args:
        spec: What the manifest says of the signature and the artifact.
        files: What lies in quarantine.
        store: Where it lies.
        trusted: Whose signatures count.
        workspace: For a copy of the files, when the library must read them.
    """

    def __init__(
        self,
        spec: BundleSpec,
        files: Sequence[FileEntry],
        store: ObjectStore,
        *,
        trusted: TrustedKeys,
        workspace: Path,
    ) -> None:
        self._spec = spec
        self._files = {file.path: file for file in files}
        self._store = store
        self._trusted = trusted
        self._workspace = workspace

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
        except InvalidInputError as error:
            return (self._state(State.UNREADABLE, error.message),)
        if told.method == "sigstore":
            detail = "keyless signatures need Sigstore's servers, which are not asked offline"
            return (self._state(State.NOT_AVAILABLE, detail),)
        if told.method == "certificate":
            return tuple(self._by_certificate(statement, data))
        return tuple(self._by_key(envelope, statement, data))

    def _by_key(
        self, envelope: Envelope, statement: Statement, data: bytes
    ) -> Iterator[Observation]:
        signer = next((path for path, key in self._trusted.keys if _made(envelope, key)), None)
        if signer is None:
            known = len(self._trusted.keys)
            yield self._state(State.UNKNOWN_KEY, f"none of the {known} trusted keys made it")
            return
        problems = self._differences(statement)
        if not problems and not statement.plain:
            problems = self._library(statement, data, key=signer)
        yield self._judged(problems, f"key {signer.stem}")
        yield from self._left_out(statement)

    def _by_certificate(self, statement: Statement, data: bytes) -> Iterator[Observation]:
        if not self._trusted.certificates:
            yield self._state(State.UNKNOWN_KEY, "no trusted certificate authority is set up")
            return
        problems = self._differences(statement) or self._library(statement, data, key=None)
        yield self._judged(problems, "a certificate of a trusted authority")
        yield from self._left_out(statement)

    def _judged(self, problems: list[str], signer: str) -> Observation:
        if problems:
            return self._state(State.INVALID, f"signed with {signer}, but {'; '.join(problems)}")
        return self._state(State.VALID, f"signed with {signer}; every signed byte is as it was")

    def _differences(self, statement: Statement) -> list[str]:
        """Names what changed, went missing or was added under the signed folder."""
        root = self._root(statement)
        signed = {
            _joined(root, item.name, self._spec.model.artifact): item
            for item in statement.resources
        }
        missing = sorted(set(signed) - set(self._files))
        changed = sorted(
            path
            for path, item in signed.items()
            if item.algorithm == "sha256" and statement.plain
            if path in self._files and hexadecimal(self._files[path].digest) != item.digest
        )
        below = {path for path in self._files if path.startswith(root)} if root != "." else set()
        added = sorted(
            path for path in below - set(signed) if not self._excused(path, root, statement)
        )
        return [
            f"{len(paths)} {what}: {_some(paths)}"
            for what, paths in (
                ("signed files are missing", missing),
                ("files differ from the signed ones", changed),
                ("files were added after signing", added),
            )
            if paths
        ]

    def _root(self, statement: Statement) -> str:
        """Finds the folder that was signed: the one under which most signed names exist.

        The names and digests are signed, the folder's place in the bundle is not. Candidates are
        the bundle and the folders above the artifact; "." stands for the artifact alone.
        """
        artifact = self._spec.model.artifact or ""
        parts = artifact.split("/")[:-1]
        candidates = ["".join(f"{part}/" for part in parts[:n]) for n in range(len(parts) + 1)]
        names = [item.name for item in statement.resources]
        if names == ["."]:
            return "."
        return max(candidates, key=lambda root: sum(root + name in self._files for name in names))

    def _excused(self, path: str, root: str, statement: Statement) -> bool:
        """The signature itself and what the signer chose to ignore; never the artifact."""
        told = self._spec.signature
        if told is not None and path == told.path:
            return True
        name = path.removeprefix(root)
        return any(
            name == ignored or name.startswith(f"{ignored}/") for ignored in statement.ignored
        )

    def _left_out(self, statement: Statement) -> Iterator[Observation]:
        root, told = self._root(statement), self._spec.signature
        artifact = self._spec.model.artifact
        signed = {_joined(root, item.name, artifact) for item in statement.resources}
        if artifact is not None and artifact not in signed:
            yield _observed(
                "artifact_not_covered", Severity.HIGH, f"{shown(artifact)} is not among the signed "
                "files", artifact,
            )  # fmt: skip
        unsigned = sorted(set(self._files) - signed - {told.path if told else ""})
        if unsigned:
            detail = f"{len(unsigned)} files are not covered: {_some(unsigned)}"
            yield _observed("unsigned_files", Severity.LOW, detail, "")

    def _library(self, statement: Statement, data: bytes, *, key: Path | None) -> list[str]:
        """Lets ``model_signing`` verify a copy of the signed folder; returns what it objects to."""
        import model_signing.verifying  # noqa: PLC0415 - half a second, rarely needed

        if self._shards(statement) > len(statement.resources):
            return ["the signed list has fewer shards than the files need"]

        config = model_signing.verifying.Config()  # type: ignore[no-untyped-call]  # the library leaves it bare
        if key is not None:
            config.use_elliptic_key_verifier(public_key=key)
        else:
            config.use_certificate_verifier(certificate_chain=list(self._trusted.certificates))
        config.set_hashing_config(_hashing(statement))
        with scratch(self._workspace, "signed") as folder:
            signature = folder / "model.sig"
            signature.write_bytes(data)
            model = self._copied(self._root(statement), folder / "model")
            try:
                # The library prints a warning about old signatures to stdout.
                with contextlib.redirect_stdout(io.StringIO()):
                    config.verify(model, signature)
            except Exception as error:  # noqa: BLE001 - it raises what its parsers raise
                words = str(error).replace(str(folder), "")
                return [f"it does not verify: {type(error).__name__}: {shown(words)}"]
        return []

    def _shards(self, statement: Statement) -> int:
        """Counts the shards that the signed files would have, so that none are hashed in vain."""
        if not statement.shard_bytes:
            return 0
        root = self._root(statement)
        names = {
            _joined(root, item.name, self._spec.model.artifact) for item in statement.resources
        }
        sizes = (self._files[name].size_bytes for name in names if name in self._files)
        return sum(-(-size // statement.shard_bytes) for size in sizes)

    def _copied(self, root: str, into: Path) -> Path:
        told, artifact = self._spec.signature, self._spec.model.artifact
        if root == ".":
            assert artifact is not None
            self._store.fetch(self._files[artifact].digest, into)
            return into
        for path, file in self._files.items():
            if path.startswith(root) and (told is None or path != told.path):
                place = into / path.removeprefix(root)
                place.parent.mkdir(parents=True, exist_ok=True)
                self._store.fetch(file.digest, place)
        return into

    def _state(self, state: State, detail: str) -> Observation:
        told = self._spec.signature
        return _observed(state.value, _SEVERITY[state], detail, told.path if told else "")


def _joined(root: str, name: str, artifact: str | None) -> str:
    """Returns a signed name as a path of the bundle; "." is the artifact, signed alone."""
    return artifact or name if root == "." else root + name


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


def _made(envelope: Envelope, key: ec.EllipticCurvePublicKey) -> bool:
    try:
        key.verify(envelope.signature, envelope.signed_bytes(), ec.ECDSA(_HASHES[key.curve.name]))
    except InvalidSignature:
        return False
    return True


def _some(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else ""
    return ", ".join(shown(path, 80) for path in paths[:_MOST_NAMED]) + more


def _observed(rule: str, severity: Severity, detail: str, location: str) -> Observation:
    return Observation(
        rule=f"provenance.signature.{rule}",
        severity=severity,
        detail=detail[:2000],
        location=location,
    )
