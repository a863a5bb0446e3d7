"""The real RADOS Gateway tells the receiver what was dropped; who cannot prove it is not heard."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from tasks.events.authenticating import bucket_token
from tasks.events.reading import Notice, Place
from tasks.events.receiver import Desk, make_app
from tests.services.ceph import KEY, SECRET, Ceph
from tests.services.processes import free_port, wait_until
from tests.simulators.store import MemoryStore

pytestmark = pytest.mark.s3
HERE = b"the receiver's secret"


@contextlib.contextmanager
def receiving(bucket: str) -> Iterator[tuple[int, list[Notice]]]:
    """A receiver on a port of its own; yields the port and what it handed on."""
    notices: list[Notice] = []
    desk = Desk(HERE, (Place(bucket, "bundles"),), MemoryStore(), notices.append)
    port = free_port()
    config = uvicorn.Config(make_app(desk), host="127.0.0.1", port=port, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started, what="the receiver")
        yield port, notices
    finally:
        server.should_exit = True
        thread.join(30)


def subscribe(ceph: Ceph, bucket: str, port: int, token: str) -> None:
    """Sets up topic and notification as an operator does with any SNS client."""
    import boto3  # noqa: PLC0415

    sns: Any = boto3.client(
        "sns",
        endpoint_url=ceph.endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )
    topic = sns.create_topic(
        Name=f"drops-{bucket}",
        Attributes={"push-endpoint": f"http://127.0.0.1:{port}/events/s3", "OpaqueData": token},
    )["TopicArn"]
    ceph.client().put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "TopicConfigurations": [
                {"Id": "drops", "TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}
            ]
        },
    )


@pytest.mark.filterwarnings("ignore")
def test_a_dropped_object_is_heard_of_once_for_each_version(ceph: Ceph) -> None:
    bucket = ceph.new_bucket(lock=False)
    with receiving(bucket) as (port, notices):
        subscribe(ceph, bucket, port, bucket_token(HERE, bucket))
        for key in ("elsewhere/x", "bundles/acme vision/bundle.yaml", "bundles/acme vision.ready"):
            ceph.client().put_object(Bucket=bucket, Key=key, Body=key.encode())
        wait_until(lambda: len(notices) >= 2, what="both notifications")
        assert {notice.payload["drop"] for notice in notices} == {"acme vision"}
        assert len(notices) == 2
        # The same bytes again are the same version, told again.
        ceph.client().put_object(Bucket=bucket, Key="bundles/b/bundle.yaml", Body=b"1")
        ceph.client().put_object(Bucket=bucket, Key="bundles/b/bundle.yaml", Body=b"2")
        wait_until(lambda: len(notices) >= 4, what="two versions of a key")


@pytest.mark.filterwarnings("ignore")
def test_notifications_without_the_token_are_not_heard(ceph: Ceph) -> None:
    bucket, other = ceph.new_bucket(lock=False), ceph.new_bucket(lock=False)
    with receiving(bucket) as (port, notices):
        subscribe(ceph, bucket, port, bucket_token(HERE, other))
        with contextlib.suppress(Exception):  # the gateway may tell the writer that nobody heard
            ceph.client().put_object(Bucket=bucket, Key="bundles/forged", Body=b"x")
        subscribe(ceph, bucket, port, bucket_token(HERE, bucket))
        ceph.client().put_object(Bucket=bucket, Key="bundles/honest", Body=b"x")
        wait_until(lambda: bool(notices), what="the honest notification")
        assert [notice.payload["drop"] for notice in notices] == ["honest"]
