"""What an S3 endpoint really guarantees, tried on the endpoint itself.

Documentation and version numbers do not count: simulators allow shortening a lock, gateways ignore
conditions and checksums. Each probe does the forbidden thing to a throw-away key and looks whether
it was refused. Locked leftovers expire after a minute and the next probe removes them.
"""

import contextlib
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from tasks.domain.errors import StoreError, StoreNotAnsweringError
from tasks.store.calls import Caller, error_code, status_of
from tasks.store.claims import Claims, base64_md5
from tasks.store.protocol import Guarantees

LOCK_SECONDS = 60
LEFTOVERS = 50
_WRONG_SHA256 = "A" * 43 + "="


class Place(NamedTuple):
    """One bucket and prefix, a client with our credentials, a maker of one with a wrong secret."""

    client: Any
    stranger: Callable[[], Any]
    bucket: str
    prefix: str

    @property
    def where(self) -> str:
        """The place in words."""
        return f"s3://{self.bucket}/{self.prefix}"


class Result(NamedTuple):
    """One probe: was the forbidden thing refused, and how did the store put it."""

    name: str
    refused: bool
    detail: str

    @property
    def note(self) -> str:
        """One line for the evidence."""
        return f"{self.name}: {'refused' if self.refused else 'allowed'} ({self.detail})"


def probe_endpoint(place: Place, caller: Caller, claims: Claims) -> Guarantees:
    """Tries claims, checksums, versions, locks and credentials on the real endpoint.

    Raises:
        StoreNotAnsweringError: The endpoint does not answer.
        StoreError: Not even ordinary writing under the prefix is allowed.
    """
    prober = _Prober(place, caller)
    prober.sweep()
    written = prober.put(b"probe")
    versioned = bool(written.get("VersionId"))
    uploads = prober.damaged_uploads()
    secret = prober.wrong_secret()
    locks = prober.locks() if versioned else []
    claim = _claim_note(claims)
    prober.sweep()
    return Guarantees(
        backend=f"s3 {caller.endpoint}",
        write_once_claims=claim[0],
        versioned=versioned,
        worm=bool(locks) and all(result.refused for result in locks),
        checksums=any(result.refused for result in uploads),
        notes=(
            claim[1],
            f"versions: {'acknowledged' if versioned else 'not kept'}",
            *(result.note for result in (*uploads, secret, *locks)),
        ),
    )


def _claim_note(claims: Claims) -> tuple[bool, str]:
    try:
        probe = claims.probe()
    except StoreError as error:
        return False, f"claims: {error.message}"
    return probe.enforced, f"claims: {probe.detail}"


class _Prober:
    def __init__(self, place: Place, caller: Caller) -> None:
        self._place = place
        self._client = place.client
        self._caller = caller
        self._prefix = f"{place.prefix}.probe/"
        self._key = self._prefix + uuid.uuid4().hex

    def put(self, data: bytes, **arguments: Any) -> dict[str, Any]:
        """Writes the throw-away key."""
        answer: dict[str, Any] = self._caller.call(
            "writing a probe",
            lambda _: self._client.put_object(
                Bucket=self._place.bucket, Key=self._key, Body=data,
                **{"ContentMD5": base64_md5(data), **arguments},
            ),
        )  # fmt: skip
        return answer

    def damaged_uploads(self) -> list[Result]:
        """Sends bytes that differ from their checksum."""
        return [
            self._forbidden(
                "upload with wrong SHA-256", lambda: self._send(ChecksumSHA256=_WRONG_SHA256)
            ),
            self._forbidden(
                "upload with wrong MD5", lambda: self._send(ContentMD5=base64_md5(b"other"))
            ),
        ]

    def wrong_secret(self) -> Result:
        """Reads with our key id and another secret."""
        client = self._place.stranger()
        return self._forbidden(
            "wrong secret key",
            lambda: client.list_objects_v2(Bucket=self._place.bucket, MaxKeys=1),
        )

    def locks(self) -> list[Result]:
        """Locks a version for a minute and attacks the lock; empty when locks do not exist."""
        until = self._server_time() + timedelta(seconds=LOCK_SECONDS)
        try:
            answer = self.put(
                b"locked", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until
            )
        except StoreError as error:
            return [Result("object lock", refused=False, detail=error.message[:200])]
        version = {
            "Bucket": self._place.bucket, "Key": self._key, "VersionId": answer["VersionId"]
        }  # fmt: skip
        sooner = until - timedelta(seconds=LOCK_SECONDS // 2)
        return [
            self._forbidden("deleting a locked version", lambda: self._delete(version)),
            self._forbidden(
                "deleting it with bypass",
                lambda: self._delete({**version, "BypassGovernanceRetention": True}),
            ),
            self._forbidden(
                "shortening the lock", lambda: self._relock(version, "COMPLIANCE", sooner)
            ),
            self._forbidden(
                "downgrading the lock", lambda: self._relock(version, "GOVERNANCE", until)
            ),
            self._still_there(version),
        ]

    def sweep(self) -> None:
        """Removes leftovers whose lock has run out; what may not be removed stays."""
        for entry in self._leftovers():
            version = {"Key": entry["Key"], "VersionId": entry["VersionId"]}
            with contextlib.suppress(ClientError, BotoCoreError):
                self._delete({"Bucket": self._place.bucket, **version})

    def _leftovers(self) -> list[dict[str, Any]]:
        try:
            listed = self._caller.call(
                "listing old probes",
                lambda _: self._client.list_object_versions(
                    Bucket=self._place.bucket, Prefix=self._prefix, MaxKeys=LEFTOVERS
                ),
            )
        except StoreNotAnsweringError:
            raise
        except StoreError:  # not every account may list versions, and nothing depends on it
            return []
        return [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])]

    def _still_there(self, version: dict[str, str]) -> Result:
        """Believes the bytes, not the answers."""
        try:
            data = self._client.get_object(**version)["Body"].read()
        except ClientError as error:
            return Result("losing the locked bytes", refused=False, detail=error_code(error))
        return Result("losing the locked bytes", refused=data == b"locked", detail="read back")

    def _send(self, **checksum: str) -> None:
        self._client.put_object(Bucket=self._place.bucket, Key=self._key, Body=b"x", **checksum)

    def _delete(self, version: dict[str, Any]) -> None:
        self._client.delete_object(**version)

    def _relock(self, version: dict[str, str], mode: str, until: datetime) -> None:
        self._client.put_object_retention(
            **version, Retention={"Mode": mode, "RetainUntilDate": until}
        )

    def _server_time(self) -> datetime:
        """Returns the store's own clock: a lock ends by it, not by ours."""
        head = self._caller.call(
            "reading the store's clock",
            lambda _: self._client.head_bucket(Bucket=self._place.bucket),
        )
        stamp = head["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        with contextlib.suppress(ValueError):
            return datetime.strptime(stamp, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
        return datetime.now(UTC)

    def _forbidden(self, name: str, action: Callable[[], Any]) -> Result:
        def attempt() -> str:
            try:
                action()
            except ClientError as error:
                if 400 <= status_of(error) < 500:
                    return f"{status_of(error)} {error_code(error)}"
                raise
            return ""

        answer = self._caller.call(f"probing: {name}", lambda _: attempt())
        return Result(name, refused=bool(answer), detail=answer or "accepted")
