"""Write-once claims on S3: conditional writes in a bucket of their own, without versions.

``If-None-Match: *`` is accepted *silently* by some stores on versioned buckets (Ceph 16) and by
some on any bucket, so the claims bucket is plain and the condition is tried before it is relied on.
"""

import base64
import contextlib
import hashlib
import threading
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from tasks.domain.errors import ObjectMissingError, StoreError
from tasks.store.calls import Caller, Deadline, error_code, status_of
from tasks.store.names import claim_name, claim_value, is_claim_name

SUFFIX = "-claims"
WRITER = "writer"


class ClaimsProbe(NamedTuple):
    """Whether the second writer of a name was refused, and what was seen."""

    enforced: bool
    detail: str


class Claims:
    """The claims of one store."""

    def __init__(self, client: Any, caller: Caller, bucket: str, prefix: str) -> None:
        self._client = client
        self._caller = caller
        self.bucket = bucket
        self._prefix = prefix
        self._lock = threading.Lock()
        self._probe: ClaimsProbe | None = None

    def claim(self, name: str, data: bytes) -> bool:
        """Writes ``data`` under ``name`` unless something is there; True when this call won.

        Raises:
            StoreError: The endpoint does not enforce conditional writes.
        """
        key = self._prefix + claim_name(name)
        claim_value(name, data)
        probe = self.probe()
        if not probe.enforced:
            raise StoreError(
                f"{self._caller.endpoint} cannot hold claims: {probe.detail}. Use a store that "
                "enforces If-None-Match, or a local folder."
            )
        return self._write_once(key, data)

    def claimed(self, name: str) -> bytes | None:
        """Returns what was claimed under ``name``, or None."""
        key = self._prefix + claim_name(name)

        def read(_: Deadline) -> bytes:
            with self._without_bucket_nothing_is_claimed():
                answer = self._client.get_object(Bucket=self.bucket, Key=key)
                data: bytes = answer["Body"].read()
                return data

        try:
            return self._caller.call(f"reading claim {name}", read)
        except ObjectMissingError:
            return None

    def names(self, prefix: str) -> Iterator[str]:
        """Yields the names of all claims that start with ``prefix``, sorted."""
        token: dict[str, str] = {}
        while True:
            page = self._page(prefix, token)
            for entry in page.get("Contents", []):
                name = entry["Key"].removeprefix(self._prefix)
                if is_claim_name(name):
                    yield name
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def probe(self) -> ClaimsProbe:
        """Tries a double claim on the real bucket, once per process; creates the bucket."""
        with self._lock:
            if self._probe is None:
                self._make_bucket()
                self._probe = self._try_twice()
            return self._probe

    def _write_once(self, key: str, data: bytes) -> bool:
        writer = uuid.uuid4().hex
        tries = 0

        def write(_: Deadline) -> bool:
            nonlocal tries
            tries += 1
            try:
                self._client.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=data,
                    IfNoneMatch="*",
                    ContentMD5=base64_md5(data),
                    ChecksumSHA256=base64.b64encode(hashlib.sha256(data).digest()).decode(),
                    Metadata={WRITER: writer},
                )
            except ClientError as error:
                if not _is_refusal(error):
                    raise
                # An earlier attempt may have won without our hearing of it.
                return tries > 1 and self._writer_of(key) == writer
            return True

        return self._caller.call(f"claiming {key}", write)

    def _writer_of(self, key: str) -> str:
        head = self._client.head_object(Bucket=self.bucket, Key=key)
        return str(head["Metadata"].get(WRITER, ""))

    def _page(self, prefix: str, token: dict[str, str]) -> dict[str, Any]:
        def page(_: Deadline) -> dict[str, Any]:
            with self._without_bucket_nothing_is_claimed():
                answer: dict[str, Any] = self._client.list_objects_v2(
                    Bucket=self.bucket, Prefix=self._prefix + prefix, **token
                )
                return answer

        try:
            return self._caller.call("listing claims", page)
        except ObjectMissingError:
            return {}

    @contextlib.contextmanager
    def _without_bucket_nothing_is_claimed(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            if error_code(error) != "NoSuchBucket":
                raise
            raise ObjectMissingError(f"bucket {self.bucket} is not there") from None

    def _make_bucket(self) -> None:
        def head(_: Deadline) -> None:
            self._client.head_bucket(Bucket=self.bucket)

        def create(_: Deadline) -> None:
            region = self._client.meta.region_name
            place = (
                {}
                if region == "us-east-1"
                else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            )
            try:
                self._client.create_bucket(Bucket=self.bucket, **place)
            except ClientError as error:
                if error_code(error) != "BucketAlreadyOwnedByYou":  # another worker was faster
                    raise

        try:
            self._caller.call(f"looking for bucket {self.bucket}", head)
        except ObjectMissingError:
            self._caller.call(f"creating bucket {self.bucket}", create)

    def _try_twice(self) -> ClaimsProbe:
        status = self._caller.call(
            "reading versioning", lambda _: self._client.get_bucket_versioning(Bucket=self.bucket)
        ).get("Status", "Disabled")
        # A name that no claim can have, so it never meets a real one.
        key = f"{self._prefix}.probe/{uuid.uuid4().hex}"
        first, second = self._write_once(key, b"1"), self._write_once(key, b"2")
        self._caller.call(
            "removing the probe", lambda _: self._client.delete_object(Bucket=self.bucket, Key=key)
        )
        seen = "refused" if first and not second else "accepted silently"
        return ClaimsProbe(
            enforced=first and not second,
            detail=f"second conditional write to bucket {self.bucket} {seen}, versioning {status}",
        )


def base64_md5(data: bytes) -> str:
    """Returns the Content-MD5 of ``data``: the only upload check that older gateways make."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def _is_refusal(error: ClientError) -> bool:
    return error_code(error) == "PreconditionFailed" or status_of(error) == 412
