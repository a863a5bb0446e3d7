"""Opening a store by its address."""

from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from tasks.domain.errors import StoreError
from tasks.store.local import LocalStore
from tasks.store.protocol import ObjectStore


def open_store(
    url: str,
    *,
    home: Path,
    deadline_seconds: float = 60,
    retention_days: int = 0,
    retention_mode: Literal["COMPLIANCE", "GOVERNANCE"] = "COMPLIANCE",
) -> ObjectStore:
    """Opens the store at ``url``.

    Args:
        url: A folder (a path, or ``file:///…``), or ``s3://bucket/prefix`` with credentials and,
            for other services than AWS, the endpoint in ``AWS_*`` variables.
        home: The folder that relative paths start from; empty ``url`` means ``store`` in it.
        deadline_seconds: On S3, the longest that one operation may take (plus transfer time).
        retention_days: On S3, how long evidence is locked; 0 locks nothing.
        retention_mode: On S3, who may lift the lock: nobody, or holders of a special right.

    Raises:
        StoreError: The address makes no sense, or nothing usable is there.
    """
    parts = urlsplit(url)
    if parts.scheme == "s3":
        from tasks.store.calls import S3Settings  # noqa: PLC0415 - boto3 costs 0.5 s
        from tasks.store.connecting import open_s3  # noqa: PLC0415

        settings = S3Settings(
            deadline_seconds=deadline_seconds,
            retention_days=retention_days,
            retention_mode=retention_mode,
        )
        return open_s3(parts.netloc, parts.path.strip("/"), settings)
    if parts.scheme == "file":
        return LocalStore(_folder_of(url))
    if "://" in url:
        raise StoreError(
            f"{parts.scheme}:// is not a store: use a folder, file:///folder or s3://bucket/prefix"
        )
    return LocalStore(home / (url or "store"))


def _folder_of(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise StoreError(f"{url} names no folder on this machine: write file:///absolute/folder")
    return Path(unquote(parts.path))
