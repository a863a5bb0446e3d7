"""Connecting to an S3 bucket with the credentials and the endpoint of the environment."""

import functools
import os
import re
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tasks.domain.errors import StoreError
from tasks.store.calls import Caller, S3Settings
from tasks.store.claims import SUFFIX, Claims
from tasks.store.probe import Place
from tasks.store.s3 import S3Store

OPENING_SECONDS = 20.0
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,54}[a-z0-9]")  # 63, less the suffix for claims
_PREFIX = re.compile(r"([A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)?")


def open_s3(bucket: str, prefix: str, settings: S3Settings) -> S3Store:
    """Opens a bucket with the credentials and endpoint of the environment.

    Raises:
        StoreNotAnsweringError: Nothing answers at the endpoint.
        StoreError: The bucket is not there or not ours, or its name is impossible.
    """
    if not _BUCKET.fullmatch(bucket):
        raise StoreError(
            f"{bucket[:100]!r} cannot be used as a bucket: 3 to 56 lower-case letters, digits, "
            f"'.' and '-' expected (a second bucket with {SUFFIX} at the end holds the claims)"
        )
    if not _PREFIX.fullmatch(prefix) or len(prefix) > 200:
        raise StoreError(f"{prefix[:100]!r} cannot be a prefix: plain parts joined by '/' expected")
    start = f"{prefix}/" if prefix else ""
    session, config = boto3.session.Session(), _config(settings)
    client = _client(session, config)
    endpoint = client.meta.endpoint_url
    caller = Caller(endpoint, settings)
    caller.call(
        f"opening bucket {bucket}",
        lambda _: client.head_bucket(Bucket=bucket),
        seconds=min(OPENING_SECONDS, settings.deadline_seconds),
    )
    place = Place(client, functools.partial(_stranger, session, config), bucket, start)
    return S3Store(place, caller, Claims(client, caller, bucket + SUFFIX, start))


def connect(settings: S3Settings) -> Any:
    """Returns an S3 client with the credentials and endpoint of the environment."""
    return _client(boto3.session.Session(), _config(settings))


def _config(settings: S3Settings) -> Config:
    custom = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return Config(
        connect_timeout=settings.connect_seconds,
        read_timeout=settings.read_seconds,
        retries={"total_max_attempts": 1},  # ours know the deadline
        max_pool_connections=16,
        request_checksum_calculation="when_supported",
        s3={
            # A service at an own address seldom has a DNS name per bucket.
            "addressing_style": "path" if custom else "auto",
            "payload_signing_enabled": True,
        },
    )


def _client(session: Any, config: Config, **credentials: str) -> Any:
    region = session.region_name or "us-east-1"
    try:
        return session.client("s3", region_name=region, config=config, **credentials)
    except (BotoCoreError, ClientError, ValueError) as error:
        raise StoreError(f"S3 cannot be set up from AWS_*: {error}") from error


def _stranger(session: Any, config: Config) -> Any:
    """Returns a client that knows our key id, but not the secret."""
    known = session.get_credentials()
    return _client(
        session,
        config,
        aws_access_key_id=known.access_key if known else "nobody",
        aws_secret_access_key="not-the-secret",  # noqa: S106 - wrong on purpose
    )
