"""The probe against a simulator that is known to keep fewer promises than it makes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.domain.errors import StoreError
from tasks.store.opening import open_store
from tasks.store.protocol import ObjectStore

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:(moto|botocore|werkzeug).*")


@pytest.fixture(scope="module")
def simulator() -> Iterator[Any]:
    from moto import mock_aws  # noqa: PLC0415 - 1 s, for this file only

    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ACCESS_KEY_ID", "simulated")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "simulated")
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        import boto3  # noqa: PLC0415

        yield boto3.client("s3", region_name="us-east-1")


@pytest.fixture(scope="module")
def locked(simulator: Any) -> ObjectStore:
    simulator.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    return open_store("s3://locked/pre", home=Path(), retention_days=1)


def test_a_lock_that_can_be_shortened_is_no_worm(locked: ObjectStore) -> None:
    found = locked.guarantees()
    notes = "\n".join(found.notes)
    assert "deleting a locked version: refused" in notes
    assert "shortening the lock: allowed" in notes
    assert "wrong secret key: allowed" in notes
    assert found.versioned
    assert not found.worm


def test_evidence_is_not_put_behind_a_lock_that_does_not_hold(locked: ObjectStore) -> None:
    with pytest.raises(StoreError, match="shortening the lock: allowed"):
        locked.put(b"evidence")


def test_long_lists_are_read_to_their_end(simulator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    simulator.create_bucket(Bucket="plain")
    store: Any = open_store("s3://plain", home=Path())
    stored = {store.put(str(number).encode()).digest for number in range(7)}
    client = store._client
    for name in ("list_objects_v2", "list_object_versions"):
        ask = getattr(client, name)
        monkeypatch.setattr(
            client, name, lambda ask=ask, **arguments: ask(**{**arguments, "MaxKeys": 2})
        )
    assert set(store.digests()) == stored
    store._versioned = True
    assert set(store.digests()) == stored
