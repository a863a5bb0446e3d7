"""S3 under faults and attacks, on the real server: kills, hangs, storms, tampering, locks."""

import itertools
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from tasks.domain.digest import Digest, digest_of, hexadecimal
from tasks.domain.errors import (
    ObjectCorruptError,
    ObjectMissingError,
    StoreError,
    StoreNotAnsweringError,
)
from tasks.store.opening import open_store
from tasks.store.protocol import ObjectRef
from tasks.store.s3 import S3Store
from tests.services.ceph import Ceph
from tests.services.processes import free_port
from tests.services.proxy import Fault, Proxy, running_proxy

pytestmark = pytest.mark.s3
HOME = Path("unused")
SLACK_SECONDS = 3
"""A test machine may be busy; without a deadline of its own a hang lasts minutes."""
BUSY: Fault = "busy"
FLIP: Fault = "flip"
TRUNCATE: Fault = "truncate"


def open_s3(ceph: Ceph, *, deadline: float = 20, retention_days: int = 0) -> S3Store:
    url = f"s3://{ceph.bucket}/{uuid.uuid4().hex}"
    store = open_store(url, home=HOME, deadline_seconds=deadline, retention_days=retention_days)
    return cast("S3Store", store)


@pytest.fixture
def store(s3_environment: Ceph) -> S3Store:
    return open_s3(s3_environment)


@pytest.fixture
def proxy(s3_environment: Ceph, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with running_proxy(s3_environment.port) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.endpoint)
        yield wire


def key_of(store: S3Store, digest: Digest) -> str:
    return f"{store._place.prefix}sha256/{hexadecimal(digest)}"


def code_of(action: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        action(**arguments)
    return str(caught.value.response["Error"]["Code"])


# Away, hung, slow to return


def test_a_hung_gateway_is_said_within_the_deadline(s3_environment: Ceph) -> None:
    store = open_s3(s3_environment, deadline=4)
    digest = store.put(b"before").digest
    s3_environment.gateway.freeze()
    try:
        for action in (lambda: store.get(digest), lambda: store.put(b"during")):
            start = time.monotonic()
            with pytest.raises(StoreNotAnsweringError, match="does not answer"):
                action()
            assert time.monotonic() - start < 4 + SLACK_SECONDS
    finally:
        s3_environment.gateway.thaw()
    assert store.get(digest) == b"before"


def put_until_refused(store: S3Store, seconds: float = 60) -> None:
    """Writes until the store gives up: the gateway hears of the full disk after the monitor."""
    end = time.monotonic() + seconds
    for number in itertools.takewhile(lambda _: time.monotonic() < end, itertools.count()):
        store.put(f"during {number}".encode())


@pytest.mark.slow
def test_a_full_cluster_hangs_and_heals(s3_environment: Ceph) -> None:
    store = open_s3(s3_environment, deadline=3)
    digest = store.put(b"before").digest
    with s3_environment.full():
        with pytest.raises(StoreNotAnsweringError):
            put_until_refused(store)
        assert store.get(digest) == b"before"
    patient = open_s3(s3_environment, deadline=60)
    assert patient.put(b"after").version


def test_nothing_acknowledged_is_lost_when_the_gateway_is_killed(s3_environment: Ceph) -> None:
    store = open_s3(s3_environment, deadline=40)
    acknowledged: list[tuple[ObjectRef, bytes]] = []
    failed: list[Exception] = []
    stop = threading.Event()

    def write(writer: int) -> None:
        number = 0
        while not stop.is_set():
            data = f"{writer} {number}".encode() * 20_000
            number += 1
            try:
                acknowledged.append((store.put(data), data))
            except StoreError as error:
                failed.append(error)

    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(write, writer) for writer in range(3)]
        for _ in range(2):
            time.sleep(0.7)
            s3_environment.gateway.kill()
            time.sleep(0.3)
            s3_environment.gateway.restart()
            s3_environment.wait()
        time.sleep(0.5)
        stop.set()
        for running in writers:
            running.result()
    assert failed == []  # every interrupted put was tried again
    assert len(acknowledged) > 6
    for ref, data in acknowledged:
        assert ref.version
        assert store.get(ref.digest, version=ref.version) == data


def test_an_endpoint_where_nobody_listens_is_named(
    s3_environment: Ceph, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", nowhere)
    with pytest.raises(StoreNotAnsweringError, match=f"{nowhere} does not answer.*Check"):
        open_s3(s3_environment, deadline=2)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "Check the credentials"),
        ("AWS_ACCESS_KEY_ID", "nobody", "Check the credentials"),
        ("AWS_ENDPOINT_URL", "not a url", "cannot be set up"),
    ],
)
def test_wrong_credentials_and_addresses_are_explained(
    s3_environment: Ceph, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(StoreError, match=words) as caught:
        open_s3(s3_environment)
    assert not isinstance(caught.value, StoreNotAnsweringError)


def test_a_missing_bucket_is_named(s3_environment: Ceph) -> None:
    with pytest.raises(StoreError, match="no-such-bucket"):
        open_store("s3://no-such-bucket", home=HOME)


# Broken wires


def test_a_storm_of_refusals_is_outlasted(s3_environment: Ceph, proxy: Proxy) -> None:
    store = open_s3(s3_environment)
    proxy.break_next("busy", "broken", "busy", method="PUT")
    ref = store.put(b"through the storm")
    assert proxy.requests == 4
    assert store.get(ref.digest, version=ref.version) == b"through the storm"


def test_an_endless_storm_ends_in_bounded_attempts(s3_environment: Ceph, proxy: Proxy) -> None:
    store = open_s3(s3_environment, deadline=4)
    proxy.break_next(*repeat(BUSY, 50), method="GET")
    start = time.monotonic()
    with pytest.raises(StoreNotAnsweringError, match="503 SlowDown"):
        store.get(digest_of(b"x"))
    assert time.monotonic() - start < 4 + SLACK_SECONDS
    assert proxy.requests <= 16


@pytest.mark.parametrize("fault", ["truncate", "flip"])
def test_damage_on_the_way_is_noticed_and_read_again(
    s3_environment: Ceph, proxy: Proxy, fault: Fault, tmp_path: Path
) -> None:
    store = open_s3(s3_environment)
    data = b"0123456789" * 50_000
    digest = store.put(data).digest
    proxy.break_next(fault, method="GET", part="/sha256/")
    assert store.get(digest) == data
    proxy.break_next(fault, method="GET", part="/sha256/")
    store.fetch(digest, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data


def test_damage_on_the_way_there_is_refused_and_sent_again(
    s3_environment: Ceph, proxy: Proxy
) -> None:
    store = open_s3(s3_environment)
    proxy.break_next("flip_upload", "flip_upload", method="PUT", part="/sha256/")
    ref = store.put(b"evidence")
    assert proxy.requests == 3
    assert store.get(ref.digest, version=ref.version) == b"evidence"
    assert store.audit(ref.digest) == []


def test_endless_damage_is_never_given_back(s3_environment: Ceph, proxy: Proxy) -> None:
    store = open_s3(s3_environment, deadline=4)
    digest = store.put(b"0123456789").digest
    proxy.break_next(*repeat(FLIP, 50), method="GET", part="/sha256/")
    with pytest.raises(ObjectCorruptError):
        store.get(digest)
    proxy.break_next(*repeat(TRUNCATE, 50), method="GET", part="/sha256/")
    with pytest.raises(StoreNotAnsweringError):
        store.get(digest)


def test_a_claim_whose_answer_was_lost_is_still_ours(s3_environment: Ceph, proxy: Proxy) -> None:
    store = open_s3(s3_environment)
    store.claim("warm", b"up")
    proxy.break_next("lose_answer", method="PUT", part="runs/ours")
    assert store.claim("runs/ours", b"same bytes")
    assert proxy.requests == 2
    assert not store.claim("runs/ours", b"same bytes")
    store.claim("runs/theirs", b"theirs")
    proxy.break_next("busy", method="PUT", part="runs/theirs")
    assert not store.claim("runs/theirs", b"theirs")


def test_a_put_whose_answer_was_lost_is_acknowledged_by_version(
    s3_environment: Ceph, proxy: Proxy
) -> None:
    store = open_s3(s3_environment)
    proxy.break_next("lose_answer", method="PUT", part="/sha256/")
    ref = store.put(b"twice at most")
    assert store.get(ref.digest, version=ref.version) == b"twice at most"
    assert store.audit(ref.digest) == []  # a second version of the same bytes is no tampering


# Tampering


def test_a_stacked_version_is_seen_through_and_named(store: S3Store, s3_environment: Ceph) -> None:
    ref = store.put(b"evidence")
    stacked = s3_environment.client().put_object(
        Bucket=s3_environment.bucket, Key=key_of(store, ref.digest), Body=b"forgery!"
    )["VersionId"]
    assert store.get(ref.digest) == b"evidence"
    assert store.get(ref.digest, version=ref.version) == b"evidence"
    with pytest.raises(ObjectCorruptError, match=stacked):
        store.get(ref.digest, version=stacked)
    [problem] = store.audit(ref.digest)
    assert stacked in problem
    assert ref.digest in problem
    again = store.put(b"evidence")
    assert again.version != stacked
    assert store.get(ref.digest, version=again.version) == b"evidence"


def test_a_delete_marker_hides_nothing_and_is_named(store: S3Store, s3_environment: Ceph) -> None:
    ref = store.put(b"evidence")
    marker = s3_environment.client().delete_object(
        Bucket=s3_environment.bucket, Key=key_of(store, ref.digest)
    )["VersionId"]
    assert store.has(ref.digest)
    assert store.get(ref.digest) == b"evidence"
    assert store.get(ref.digest, version=ref.version) == b"evidence"
    assert list(store.digests()) == [ref.digest]
    [problem] = store.audit(ref.digest)
    assert f"delete marker {marker}" in problem


def test_untouched_objects_raise_no_alarm(store: S3Store) -> None:
    assert store.audit(store.put(b"evidence").digest) == []


def test_a_version_that_never_was_is_missing(store: S3Store) -> None:
    digest = store.put(b"evidence").digest
    for version in ("nonsense", "null", "../x", "a" * 32):
        with pytest.raises(ObjectMissingError):
            store.get(digest, version=version)


def test_every_version_lost_is_said(store: S3Store, s3_environment: Ceph) -> None:
    ref = store.put(b"evidence")
    place = {"Bucket": s3_environment.bucket, "Key": key_of(store, ref.digest)}
    for forgery in (b"forgery!", b"another!"):
        s3_environment.client().put_object(**place, Body=forgery)
    s3_environment.client().delete_object(**place, VersionId=ref.version)
    assert store.audit(ref.digest)[-1].endswith("no version holds the right bytes")


# Locks


def test_locked_evidence_can_be_neither_deleted_nor_unlocked(s3_environment: Ceph) -> None:
    store, client = open_s3(s3_environment, retention_days=2), s3_environment.client()
    ref = store.put(b"locked evidence")
    version = {
        "Bucket": s3_environment.bucket, "Key": key_of(store, ref.digest), "VersionId": ref.version,
    }  # fmt: skip
    until = client.head_object(**version)["ObjectLockRetainUntilDate"]
    assert timedelta(days=1.9) < until - datetime.now(UTC) < timedelta(days=2.1)
    soon = {"Mode": "COMPLIANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(minutes=1)}
    weak = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
    denied = [
        code_of(client.delete_object, **version),
        code_of(client.delete_object, **version, BypassGovernanceRetention=True),
        code_of(client.put_object_retention, **version, Retention=soon),
        code_of(client.put_object_retention, **version, Retention=weak),
    ]
    assert denied == ["AccessDenied"] * 4
    assert store.get(ref.digest, version=ref.version) == b"locked evidence"


def test_putting_again_extends_a_lock_that_runs_out(s3_environment: Ceph) -> None:
    short = open_s3(s3_environment, retention_days=1)
    ref = short.put(b"kept longer")
    url = f"s3://{s3_environment.bucket}/{short._place.prefix.strip('/')}"
    longer = open_store(url, home=HOME, retention_days=9, retention_mode="GOVERNANCE")
    assert longer.put(b"kept longer").version == ref.version
    head = s3_environment.client().head_object(
        Bucket=s3_environment.bucket, Key=key_of(short, ref.digest), VersionId=ref.version
    )
    assert head["ObjectLockRetainUntilDate"] - datetime.now(UTC) > timedelta(days=8)
    assert head["ObjectLockMode"] == "COMPLIANCE"


def test_the_probe_proves_what_this_endpoint_keeps(store: S3Store) -> None:
    found = store.guarantees()
    assert (found.worm, found.versioned, found.write_once_claims) == (True, True, True)
    notes = "\n".join(found.notes)
    for refused in (
        "deleting a locked version: refused", "deleting it with bypass: refused",
        "shortening the lock: refused", "downgrading the lock: refused",
        "wrong secret key: refused", "upload with wrong MD5: refused",
    ):  # fmt: skip
        assert refused in notes
    assert store.guarantees() is found


def test_a_plain_bucket_cannot_be_asked_to_lock(s3_environment: Ceph) -> None:
    bucket = s3_environment.new_bucket(lock=False)
    store = open_store(f"s3://{bucket}", home=HOME, retention_days=1)
    assert not store.guarantees().worm
    with pytest.raises(StoreError, match="does not keep locks"):
        store.put(b"evidence")
    plain = open_store(f"s3://{bucket}", home=HOME)
    ref = plain.put(b"evidence")
    assert ref.version is None
    assert plain.get(ref.digest) == b"evidence"
    assert list(plain.digests()) == [ref.digest]


def test_claims_are_refused_where_conditions_are_ignored(s3_environment: Ceph) -> None:
    bucket, client = s3_environment.new_bucket(), s3_environment.client()
    client.create_bucket(Bucket=f"{bucket}-claims", ObjectLockEnabledForBucket=True)
    store = open_store(f"s3://{bucket}", home=HOME)
    with pytest.raises(StoreError, match=r"cannot hold claims.*accepted silently"):
        store.claim("runs/a", b"1")
    assert not store.guarantees().write_once_claims


def test_without_a_claims_bucket_nothing_is_claimed(s3_environment: Ceph) -> None:
    store = open_store(f"s3://{s3_environment.new_bucket()}", home=HOME)
    assert store.claimed("runs/a") is None
    assert list(store.claims()) == []
