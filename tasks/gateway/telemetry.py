"""What was asked, answered and paid for, kept so that a crash loses less than a second.

Rows go to a spool file that is flushed to the disk several times a second, and from there, in
batches, to the object store as Parquet. A spool that a dead gateway left is sealed by the next one
under the same name, so nothing is lost and nothing is counted twice.
"""

import base64
import contextlib
import fcntl
import hashlib
import hmac
import io
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.domain.digest import Digest
from tasks.domain.errors import ProofhouseError
from tasks.gateway.policy import Keeping
from tasks.sandbox.protocol import Array
from tasks.store.protocol import ObjectStore

CLAIMS = "telemetry/"
FLUSH_SECONDS = 0.25
MOST_WAITING = 100_000
"""Requests kept in memory while the disk takes none."""
_log = logging.getLogger(__name__)
SCHEMA = pa.schema(
    [
        ("time", pa.float64()),  # seconds since 1970
        ("request", pa.string()),
        ("account", pa.string()),
        ("role", pa.string()),
        ("segment", pa.string()),
        ("model", pa.string()),
        ("version", pa.string()),  # the accepting run
        ("route", pa.string()),  # champion or canary
        ("status", pa.int16()),
        ("reason", pa.string()),
        ("items", pa.int32()),
        ("bytes", pa.int64()),
        ("latency_ms", pa.float32()),
        ("cost_ms", pa.float32()),  # of the model's time, this item's share
        ("input_hash", pa.string()),  # keyed; null where nothing was read
        ("features", pa.list_(pa.float32())),
        ("label", pa.int32()),
        ("confidence", pa.float32()),
        ("margin", pa.float32()),  # likeliest less second likeliest
    ]
)


class Told(NamedTuple):
    """One request as the service hands it over; arrays have one row per item."""

    common: Mapping[str, Any]
    inputs: Array | None = None
    labels: Array | None = None
    confidence: Array | None = None
    margin: Array | None = None


Heard = Callable[[Sequence[Mapping[str, Any]]], None]
"""Is shown every flushed row: the abuse monitors."""


class Features:
    """Turns inputs into what the policy keeps of them.

    Args:
        keeping: The policy.
        secret: Keys hashes and projection, so that nobody outside can guess or dodge them.
        size: Values of one input.
        span: Width of the raw range; features are in units of it.
    """

    def __init__(self, keeping: Keeping, secret: bytes, *, size: int, span: float) -> None:
        self._kind, self._secret, self._span = keeping.features, secret, span
        seed = int.from_bytes(hmac.digest(secret, b"projection", "sha256")[:8], "big")
        # More dimensions than the input has would only repeat it.
        width = min(keeping.dimensions, size)
        drawn = np.random.default_rng(seed).normal(0, width**-0.5, (size, width))
        self._matrix = np.linalg.qr(drawn)[0] if width == size else drawn
        self._matrix = self._matrix.astype(np.float32)

    def of(self, inputs: Array) -> list[list[float]] | None:
        """Returns one row of features per input, None where none are kept."""
        kept = self.rows(inputs)
        listed: list[list[float]] | None = None if kept is None else kept.tolist()
        return listed

    def rows(self, inputs: Array) -> Array | None:
        """Returns the same as an array (n, d) float32."""
        if self._kind == "none":
            return None
        flat: Array = (inputs.reshape(len(inputs), -1) / self._span).astype(np.float32)
        return flat @ self._matrix if self._kind == "projected" else flat

    def hashes(self, inputs: Array) -> list[str]:
        """Returns a keyed hash per input; equal inputs have equal hashes."""
        flat = np.ascontiguousarray(inputs, np.float32).reshape(len(inputs), -1)
        return [
            hashlib.blake2b(row.tobytes(), digest_size=16, key=self._secret).hexdigest()
            for row in flat
        ]


class Recorder:
    """Takes rows from the service and keeps them; one thread does the work.

    Args:
        folder: Where spools lie.
        store: Where batches go.
        name: Of the gateway; part of the claims' names.
        keeping: When a batch is full.
        features: What is kept of inputs; by model version.
        heard: Is shown every row.
    """

    def __init__(
        self,
        folder: Path,
        store: ObjectStore,
        *,
        name: str,
        keeping: Keeping,
        features: Features,
        heard: Heard | None = None,
    ) -> None:
        self._folder, self._store, self._name = folder, store, name
        self._keeping, self._features, self._heard = keeping, features, heard
        self._told: list[Told] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="telemetry", daemon=True)
        self.rows = self.batches = self.failures = 0
        self._spool: _Spool | None = None
        self._again_at, self._pause = 0.0, 1.0

    def start(self) -> None:
        """Begins, with what an earlier gateway left behind."""
        self._thread.start()

    def tell(self, told: Told) -> None:
        """Takes one request; returns at once."""
        self._told.append(told)

    def close(self) -> None:
        """Writes and seals what there is."""
        self._stop.set()
        self._thread.join(timeout=60)

    def _work(self) -> None:
        self._seal_left_behind()
        while not self._stop.wait(FLUSH_SECONDS):
            self._flush()
            if self._spool is not None and (
                self._spool.age >= self._keeping.batch_seconds
                or self._spool.rows >= self._keeping.batch_rows
            ):
                self._turn_over()
            if time.monotonic() >= self._again_at:
                self._seal_left_behind()
        self._flush()
        self._turn_over()
        self._seal_left_behind()

    def _flush(self) -> None:
        told, self._told = self._told, []
        if not told:
            return
        try:
            rows = [row for each in told for row in self._rows(each)]
            self._spool = self._spool or _Spool(self._folder)
            self._spool.write(rows)
            self.rows += len(rows)
        except OSError as error:
            self.failures += 1
            # Kept in memory while the disk says no, but not without end.
            self._told = (told + self._told)[-MOST_WAITING:]
            _log.warning("telemetry cannot be spooled: %s", error)
            return
        if self._heard is not None:
            self._heard(rows)

    def _rows(self, told: Told) -> list[dict[str, Any]]:
        if told.inputs is None or told.labels is None:
            return [dict(told.common)]
        features = self._features.of(told.inputs)
        hashes = self._features.hashes(told.inputs)
        columns = [
            np.asarray(each).tolist() if each is not None else [None] * len(hashes)
            for each in (told.labels, told.confidence, told.margin)
        ]
        return [
            {
                **told.common,
                "input_hash": hashes[at],
                "features": features[at] if features else None,
                "label": label,
                "confidence": confidence,
                "margin": margin,
            }
            for at, (label, confidence, margin) in enumerate(zip(*columns, strict=True))
        ]

    def _turn_over(self) -> None:
        if self._spool is not None:
            self._spool.release()
            self._spool, self._again_at = None, 0.0

    def _seal_left_behind(self) -> None:
        """Seals every spool that nobody writes any more; tries again later what fails."""
        try:
            for path in sorted(self._folder.glob("*.jsonl")):
                self._seal(path)
            self._pause = 1.0
        except (ProofhouseError, OSError) as error:
            self.failures += 1
            _log.warning("telemetry waits on the disk, the store does not take it: %s", error)
            self._pause = min(60.0, self._pause * 2)
        self._again_at = time.monotonic() + self._pause

    def _seal(self, path: Path) -> None:
        with _unowned(path) as stream:
            if stream is None:
                return
            rows = read_spool(stream)
            if rows:
                digest = self._store.put(parquet_bytes(rows)).digest
                day = datetime.fromtimestamp(rows[0]["time"], UTC).strftime("%Y-%m-%d")
                self._store.claim(f"{CLAIMS}{self._name}/{day}/{path.stem}", digest.encode())
                self.batches += 1
            path.unlink()


class _Spool:
    """An append-only file of JSON lines, locked while its writer lives."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        moment = datetime.now(UTC).strftime("%H%M%S%f")
        self.path = folder / f"{moment}-{uuid.uuid4().hex}.jsonl"
        part = self.path.with_suffix(".new")  # not looked at before it is locked
        self._stream = part.open("ab", buffering=0)
        fcntl.flock(self._stream, fcntl.LOCK_EX)
        part.rename(self.path)
        self._began = time.monotonic()
        self.rows = self._bytes = 0

    @property
    def age(self) -> float:
        """Seconds since the first row."""
        return time.monotonic() - self._began

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Adds rows, durably."""
        data = memoryview(b"".join(orjson.dumps(row) + b"\n" for row in rows))
        rest = data
        try:
            while rest.nbytes:
                rest = rest[self._stream.write(rest) :]
            os.fsync(self._stream.fileno())
        except OSError:
            # They will be written again, so they must not stand here twice.
            with contextlib.suppress(OSError):
                self._stream.truncate(self._bytes)
            raise
        self._bytes += data.nbytes
        self.rows += len(rows)

    def release(self) -> None:
        """Ends writing; from now on it may be sealed."""
        self._stream.close()


@contextlib.contextmanager
def _unowned(path: Path) -> Iterator[BinaryIO | None]:
    """Lends a spool whose writer is gone, None while it lives or when another seals it."""
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(path.open("rb"))
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (FileNotFoundError, BlockingIOError):
            yield None
            return
        yield stream


def read_spool(stream: BinaryIO) -> list[dict[str, Any]]:
    """Returns the rows of a spool; a last line that a crash cut short is left out."""
    rows = []
    for line in stream:
        with contextlib.suppress(orjson.JSONDecodeError):
            row = orjson.loads(line)
            if isinstance(row, dict) and line.endswith(b"\n"):
                rows.append(row)
    return rows


def parquet_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Returns rows as one Parquet file; equal rows give equal bytes."""
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=SCHEMA)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def read_telemetry(store: ObjectStore, name: str, *, since: str = "") -> Iterator[pa.Table]:
    """Yields the sealed batches of a gateway from the day ``since`` (2026-11-27) on, by day."""
    prefix = f"{CLAIMS}{name}/"
    for claim in store.claims(prefix):
        if claim.removeprefix(prefix) >= since and (digest := store.claimed(claim)):
            yield pq.read_table(io.BytesIO(store.get(Digest(digest.decode()))))


def claim_part(text: str) -> str:
    """Returns a name fit for a claim: what it cannot hold becomes a dash, with a short hash."""
    plain = "".join(
        letter if letter.isalnum() and letter.isascii() else "-" for letter in text.lower()
    )
    mark = base64.b32encode(hashlib.sha256(text.encode()).digest()[:5]).decode().lower()
    return f"{plain.strip('-')[:80] or 'model'}-{mark}"
