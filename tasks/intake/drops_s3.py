"""Drops under an S3 prefix: each first part of a key after the prefix is one drop.

Objects appear whole, so only the number of them can be incomplete. What is fetched is exactly the
version that was listed; a key that was overwritten in between is a change, and waits again.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.domain.errors import InvalidInputError, ObjectMissingError, StoreError
from tasks.intake.drops import MOST_FILES, READY, Drop, DropFile
from tasks.intake.manifest import MANIFEST
from tasks.intake.names import name_problem, shown
from tasks.store.calls import Caller, S3Settings
from tasks.store.connecting import connect

MOST_BYTES = 20 << 30


class S3Place:
    """Drops in a bucket, with the credentials and endpoint of the environment."""

    def __init__(self, bucket: str, prefix: str, settings: S3Settings) -> None:
        self._client: Any = connect(settings)
        self._caller = Caller(self._client.meta.endpoint_url, settings)
        self._bucket = bucket
        self._start = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._caller.call(
            f"opening bucket {bucket}", lambda _: self._client.head_bucket(Bucket=bucket)
        )

    def drops(self) -> tuple[Drop, ...]:
        """Lists the objects below the prefix, sorted into drops."""
        found: dict[str, list[DropFile]] = {}
        ready: set[str] = set()
        for entry in self._listed(self._start):
            name, _, path = entry["Key"].removeprefix(self._start).partition("/")
            if name.endswith(READY) and not path:
                ready.add(name.removesuffix(READY))
            elif name and not name.startswith("."):
                found.setdefault(name, []).append(_file(path, entry))
        return tuple(
            Drop(name, tuple(files), ready=name in ready) for name, files in sorted(found.items())
        )

    def manifest(self, drop: Drop) -> bytes | None:
        """Reads the manifest of a drop of several objects."""
        there = next((file for file in drop.files if file.path == MANIFEST), None)
        if there is None or there.size_bytes > 1 << 20:
            return None
        return self._read(drop, there)

    def fetch(self, drop: Drop, into: Path) -> Path:
        """Downloads every object as it was listed, into plain files with plain names.

        Raises:
            InvalidInputError: A key is no plain relative path, or there is too much.
            StoreError: The store failed, or an object changed since it was listed.
        """
        if sum(file.size_bytes for file in drop.files) > MOST_BYTES or len(drop.files) > MOST_FILES:
            raise InvalidInputError(
                f"{shown(drop.name)} is more than {MOST_BYTES} bytes or {MOST_FILES} objects."
            )
        if problem := name_problem(drop.name):
            raise InvalidInputError(f"the drop's name {shown(drop.name)} {problem}.")
        for file in drop.files:
            parts = file.path.rstrip("/").split("/") if file.path else [drop.name]
            if problem := next(filter(None, map(name_problem, parts)), None):
                raise InvalidInputError(f"{shown(file.path)} {problem}.")
            place = into / drop.name if file.path == "" else into.joinpath(drop.name, *parts)
            if not file.path.endswith("/"):  # consoles make empty objects to show folders
                _make_room(place)
                self._download(drop, file, place)
        return into / drop.name

    def set_aside(self, drop: Drop, reason: str) -> str:  # noqa: ARG002 - the bucket is not ours
        """Leaves the objects where they are: the record of the refusal is enough."""
        return ""

    def _key(self, drop: Drop, file: DropFile) -> str:
        return f"{self._start}{drop.name}" + (f"/{file.path}" if file.path else "")

    def _read(self, drop: Drop, file: DropFile) -> bytes | None:
        def read(_: Any) -> bytes:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(drop, file))
            data: bytes = answer["Body"].read()
            return data

        try:
            return self._caller.call(f"reading {file.path}", read)
        except ObjectMissingError:
            return None

    def _download(self, drop: Drop, file: DropFile, place: Path) -> None:
        def download(deadline: Any) -> None:
            deadline.allow(file.size_bytes)
            answer = self._client.get_object(
                Bucket=self._bucket, Key=self._key(drop, file), IfMatch=file.mark
            )
            with place.open("wb") as stream:
                for chunk in answer["Body"].iter_chunks(1 << 20):
                    deadline.check()
                    stream.write(chunk)

        self._caller.call(f"fetching {self._key(drop, file)[:200]}", download)
        if place.stat().st_size != file.size_bytes:
            raise StoreError(f"{file.path[:200]} came with other than {file.size_bytes} bytes.")

    def _listed(self, start: str) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:
            page = self._page(start, token)
            yield from page.get("Contents", [])
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _page(self, start: str, token: dict[str, str]) -> dict[str, Any]:
        def page(_: Any) -> dict[str, Any]:
            answer: dict[str, Any] = self._client.list_objects_v2(
                Bucket=self._bucket, Prefix=start, **token
            )
            return answer

        return self._caller.call("listing drops", page)


def _make_room(place: Path) -> None:
    """Makes the folders above a file. Keys may clash where files cannot: ``a`` and ``a/b``."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch(exist_ok=False)
    except (FileExistsError, NotADirectoryError) as error:
        raise InvalidInputError(
            f"{shown(place.name)} is both a file and a folder, or comes twice."
        ) from error


def _file(path: str, entry: dict[str, Any]) -> DropFile:
    return DropFile(path, int(entry["Size"]), str(entry["ETag"]), entry["LastModified"])
