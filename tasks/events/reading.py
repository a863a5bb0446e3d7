"""From the body of a webhook to notices: what happened to what, in our own words.

A notice only says where to look. What lies there decides what is done, so a late, doubled or
reordered event leads to the same state.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from pydantic import ValidationError

from tasks.domain.alarm import Alarm
from tasks.domain.digest import Digest, digest_of
from tasks.domain.errors import InvalidInputError
from tasks.domain.frozen import canonical_json
from tasks.events.authenticating import verify_bucket
from tasks.intake.strict_json import JsonCaps, parse_json

MOST_BYTES = 1 << 20
_CAPS = JsonCaps(most_bytes=MOST_BYTES)


class Notice(NamedTuple):
    """One event: its name, what it is about, and what tells it from any other.

    Equal ``identity`` means the same event, however often it comes.
    """

    event: str
    resource: str
    payload: dict[str, str]
    identity: Digest


class Place(NamedTuple):
    """A bucket and prefix under which bundles are dropped."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Reads ``s3://bucket/prefix``. Raises :class:`InvalidInputError`."""
        scheme, _, rest = text.strip().partition("://")
        bucket, _, prefix = rest.partition("/")
        if scheme != "s3" or not bucket:
            raise InvalidInputError(f"{text[:200]!r} is no place for drops: s3://bucket/prefix.")
        return cls(bucket, prefix.strip("/"))

    @property
    def url(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def drop_of(self, key: str) -> str | None:
        """Returns the name of the drop that a key belongs to; None when it is no part of one."""
        start = f"{self.prefix}/" if self.prefix else ""
        if not key.startswith(start):
            return None
        name = key.removeprefix(start).partition("/")[0].removesuffix(".ready")
        return name if name and not name.startswith(".") else None


def s3_notices(body: bytes, places: tuple[Place, ...], secret: bytes | None) -> Iterator[Notice]:
    """Yields a notice for each record about an object that was created in a place for drops.

    Records about anything else are nobody's business and skipped. With ``secret`` each must carry
    the token of its bucket; None when the whole body was authenticated.

    Raises:
        UnauthenticatedError: A record does not carry the token of its bucket.
        InvalidInputError: Not a notification of S3.
    """
    document = _parsed(body)
    records = document.get("Records")
    if not isinstance(records, list) or len(records) > 1000:
        raise InvalidInputError("a notification holds a list of up to 1000 Records")
    for record in records:
        found = _object_of(record)
        if secret is not None:
            verify_bucket(str(record.get("opaqueData", "")), found["bucket"], secret)
        if not str(record.get("eventName", "")).removeprefix("s3:").startswith("ObjectCreated"):
            continue
        for place in places:
            drop = place.drop_of(found["key"]) if place.bucket == found["bucket"] else None
            if drop is not None:
                yield Notice(
                    event="proofhouse.drop.changed",
                    resource=f"proofhouse.drop.{place.url}/{drop}",
                    payload={"place": place.url, "drop": drop},
                    identity=digest_of(canonical_json(["s3", place.url, found])),
                )


def mlflow_notices(body: bytes) -> Iterator[Notice]:
    """Yields what an MLflow webhook tells: an entity of the registry was touched."""
    document = _parsed(body)
    entity, action = str(document.get("entity", "")), str(document.get("action", ""))
    data = document.get("data")
    if not entity or not action or not isinstance(data, dict):
        raise InvalidInputError("an MLflow webhook holds entity, action and data")
    name = str(data.get("name", ""))[:300]
    yield Notice(
        event=f"proofhouse.mlflow.{_word(entity)}.{_word(action)}",
        resource=f"proofhouse.mlflow.{name}",
        payload={"model": name, "entity": entity[:100], "action": action[:100]},
        identity=digest_of(b"mlflow " + body),
    )


def git_notices(body: bytes) -> Iterator[Notice]:
    """Yields a push to a repository; other events of a forge are skipped."""
    document = _parsed(body)
    ref, after = document.get("ref"), document.get("after")
    repository = document.get("repository")
    if not isinstance(ref, str) or not isinstance(after, str) or not isinstance(repository, dict):
        return
    name = str(repository.get("full_name", ""))[:300]
    yield Notice(
        event="proofhouse.git.push",
        resource=f"proofhouse.git.{name}",
        payload={"repository": name, "ref": ref[:300], "commit": after[:100]},
        identity=digest_of(b"git " + body),
    )


def read_alarm(body: bytes) -> Alarm:
    """Reads an alarm of a system outside (schema ``proofhouse.alarm/1``).

    Raises:
        InvalidInputError: It is none; names every fault.
    """
    try:
        return Alarm.model_validate_json(canonical_json(_parsed(body)))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
        )
        raise InvalidInputError(f"this is no proofhouse.alarm/1: {faults}") from error


def _object_of(record: Any) -> dict[str, str]:
    """Returns bucket, key (decoded), version and ETag of a record."""
    try:
        s3 = record["s3"]
        item = s3["object"]
        return {
            "bucket": str(s3["bucket"]["name"]),
            "key": unquote_plus(str(item["key"]), errors="strict"),
            "version": str(item.get("versionId", "")),
            "etag": str(item.get("eTag", "")),
        }
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise InvalidInputError("a record of a notification names bucket and object") from error


def _parsed(body: bytes) -> dict[str, Any]:
    document = parse_json(body, place="the event", caps=_CAPS)
    if not isinstance(document, dict):
        raise InvalidInputError("the event is no JSON object")
    return document


def _word(text: str) -> str:
    kept = "".join(each if each.isascii() and each.isalnum() else "_" for each in text.lower())
    return kept[:60] or "unknown"
