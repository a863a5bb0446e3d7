"""What every object store must do, tried on a folder, on memory and on a real S3 server."""

import threading
import tracemalloc
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.domain.digest import Digest, digest_of
from tasks.domain.errors import ObjectCorruptError, ObjectMissingError, StoreError
from tasks.store.opening import open_store
from tasks.store.protocol import ObjectStore
from tests.services.ceph import Ceph
from tests.simulators.store import MemoryStore

ABSENT = digest_of(b"never stored")
NAMES_REFUSED = [
    "../escape", "/absolute", "a/../b", "a//b", "", ".hidden", "a/", "Upper", "a\x00b", "a b",
    "a\nb", "name\n", "ä", "a\\b", "c:", "%2e%2e/x", "a" * 129, "a/" * 300 + "a",
]  # fmt: skip
DIGESTS_REFUSED = [
    "", "sha256:", "sha256:../../etc/passwd", "sha256:" + "A" * 64, "sha256:" + "a" * 63,
    "md5:" + "a" * 64, "sha256:" + "a" * 64 + "\n", "sha256:" + "a" * 62 + "/a",
]  # fmt: skip


class Subject(NamedTuple):
    """A store, and a way to overwrite an object behind its back."""

    store: ObjectStore
    damage: Callable[[Digest], None]


@pytest.fixture(params=["memory", "local", pytest.param("s3", marks=pytest.mark.s3)])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    builders = {"memory": _memory, "local": _local, "s3": _s3}
    return builders[request.param](request, tmp_path)


def _memory(_: pytest.FixtureRequest, __: Path) -> Subject:
    store = MemoryStore()

    def damage(digest: Digest) -> None:
        store.objects[digest] = b"other"

    return Subject(store, damage)


def _local(_: pytest.FixtureRequest, folder: Path) -> Subject:
    def damage(digest: Digest) -> None:
        path = next((folder / "store").rglob(digest.removeprefix("sha256:")))
        path.chmod(0o644)
        path.write_bytes(b"other")

    return Subject(open_store(str(folder / "store"), home=folder), damage)


def _s3(request: pytest.FixtureRequest, folder: Path) -> Subject:
    ceph: Ceph = request.getfixturevalue("s3_environment")
    prefix, client = uuid.uuid4().hex, ceph.client()

    def damage(digest: Digest) -> None:
        key = f"{prefix}/sha256/{digest.removeprefix('sha256:')}"
        client.put_object(Bucket=ceph.bucket, Key=key, Body=b"other")
        listed = client.list_object_versions(Bucket=ceph.bucket, Prefix=key)
        for version in listed["Versions"]:
            if not version["IsLatest"]:
                client.delete_object(
                    Bucket=ceph.bucket, Key=key, VersionId=version["VersionId"]
                )  # nothing was locked here, so the right bytes can really be lost

    return Subject(open_store(f"s3://{ceph.bucket}/{prefix}", home=folder), damage)


@given(data=st.binary(max_size=70_000))
@settings(
    max_examples=15,
    deadline=None,  # a real server answers when it likes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_gives_back_what_was_put(subject: Subject, data: bytes) -> None:
    ref = subject.store.put(data)
    assert (ref.digest, ref.size_bytes) == (digest_of(data), len(data))
    assert subject.store.get(ref.digest) == data
    assert subject.store.get(ref.digest, version=ref.version) == data


def test_putting_twice_is_one_object(subject: Subject) -> None:
    assert subject.store.put(b"same") == subject.store.put(b"same")
    assert list(subject.store.digests()) == [digest_of(b"same")]


def test_lists_every_object(subject: Subject) -> None:
    stored = {subject.store.put(str(number).encode()).digest for number in range(12)}
    subject.store.claim("not/an/object", b"1")
    assert set(subject.store.digests()) == stored


def test_knows_what_it_has(subject: Subject) -> None:
    digest = subject.store.put(b"here").digest
    assert subject.store.has(digest)
    assert not subject.store.has(ABSENT)


def test_missing_is_said_as_missing(subject: Subject, tmp_path: Path) -> None:
    with pytest.raises(ObjectMissingError):
        subject.store.get(ABSENT)
    with pytest.raises(ObjectMissingError):
        subject.store.fetch(ABSENT, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_fetches_to_a_new_file_only(subject: Subject, tmp_path: Path) -> None:
    digest = subject.store.put(b"bytes").digest
    subject.store.fetch(digest, tmp_path / "new")
    assert (tmp_path / "new").read_bytes() == b"bytes"
    (tmp_path / "old").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        subject.store.fetch(digest, tmp_path / "old")
    assert (tmp_path / "old").read_bytes() == b"mine"


def test_other_bytes_are_never_given_back(subject: Subject, tmp_path: Path) -> None:
    digest = subject.store.put(b"evidence").digest
    subject.damage(digest)
    with pytest.raises(ObjectCorruptError):
        subject.store.get(digest)
    with pytest.raises(ObjectCorruptError):
        subject.store.fetch(digest, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob("*.part"))


def test_putting_again_mends(subject: Subject) -> None:
    if isinstance(subject.store, MemoryStore):
        pytest.skip("memory keeps what is broken from the inside")
    digest = subject.store.put(b"evidence").digest
    subject.damage(digest)
    subject.store.put(b"evidence")
    assert subject.store.get(digest) == b"evidence"


def test_refuses_what_is_no_digest(subject: Subject, tmp_path: Path) -> None:
    for bad in cast("list[Digest]", DIGESTS_REFUSED):
        for action in (subject.store.get, subject.store.has):
            with pytest.raises(StoreError, match="not a digest"):
                action(bad)
        with pytest.raises(StoreError, match="not a digest"):
            subject.store.fetch(bad, tmp_path / "out")


def test_first_claim_wins(subject: Subject) -> None:
    assert subject.store.claimed("runs/a") is None
    assert subject.store.claim("runs/a", b"first")
    assert not subject.store.claim("runs/a", b"second")
    assert not subject.store.claim("runs/a", b"first")
    assert subject.store.claimed("runs/a") == b"first"


def test_claims_are_listed_sorted_by_prefix(subject: Subject) -> None:
    for name in ("b", "a", "a/b", "a/a.c", "ab/c", "a/b/c"):
        assert subject.store.claim(name, name.encode())
    assert list(subject.store.claims()) == ["a", "a/a.c", "a/b", "a/b/c", "ab/c", "b"]
    assert list(subject.store.claims("a/")) == ["a/a.c", "a/b", "a/b/c"]
    assert list(subject.store.claims("a/b")) == ["a/b", "a/b/c"]
    assert list(subject.store.claims("a")) == ["a", "a/a.c", "a/b", "a/b/c", "ab/c"]
    assert list(subject.store.claims("none/")) == []
    assert subject.store.claimed("a/b") == b"a/b"


def test_refuses_names_that_could_lead_elsewhere(subject: Subject) -> None:
    for name in NAMES_REFUSED:
        with pytest.raises(StoreError, match="cannot name a claim"):
            subject.store.claim(name, b"1")
        with pytest.raises(StoreError, match="cannot name a claim"):
            subject.store.claimed(name)
    assert list(subject.store.claims()) == []


def test_refuses_a_claim_that_should_be_an_object(subject: Subject) -> None:
    with pytest.raises(StoreError, match="put the bytes as an object"):
        subject.store.claim("big", b"x" * ((1 << 20) + 1))


def test_of_sixteen_racing_writers_one_wins(subject: Subject) -> None:
    subject.store.claim("warm", b"up")
    for race in range(4):
        start = threading.Barrier(16)

        def write(writer: int, race: int = race, start: threading.Barrier = start) -> bool:
            start.wait()
            return subject.store.claim(f"race/{race}", str(writer).encode())

        with ThreadPoolExecutor(16) as pool:
            won = list(pool.map(write, range(16)))
        assert won.count(True) == 1
        assert subject.store.claimed(f"race/{race}") == str(won.index(True)).encode()


def test_concurrent_puts_of_one_object_all_succeed(subject: Subject) -> None:
    with ThreadPoolExecutor(8) as pool:
        refs = list(pool.map(subject.store.put, [b"shared" * 1000] * 8))
    assert {ref.digest for ref in refs} == {digest_of(b"shared" * 1000)}
    assert all(
        subject.store.get(ref.digest, version=ref.version) == b"shared" * 1000 for ref in refs
    )


def test_large_files_take_constant_memory(subject: Subject, tmp_path: Path) -> None:
    if isinstance(subject.store, MemoryStore):
        pytest.skip("memory is what it has")
    size, block = 48 << 20, b"\x5a" * (1 << 20)
    with (tmp_path / "large").open("wb") as stream:
        for _ in range(size >> 20):
            stream.write(block)
    tracemalloc.start()
    try:
        ref = subject.store.put_file(tmp_path / "large")
        subject.store.fetch(ref.digest, tmp_path / "back")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ref.size_bytes == (tmp_path / "back").stat().st_size == size
    assert peak < 12 << 20


def test_what_cannot_be_read_cannot_be_put(subject: Subject, tmp_path: Path) -> None:
    if isinstance(subject.store, MemoryStore):
        pytest.skip("the simulator reads whatever the path gives")
    with pytest.raises(StoreError, match="absent"):
        subject.store.put_file(tmp_path / "absent")
    with pytest.raises(StoreError, match="plain file"):
        subject.store.put_file(Path("/dev/zero"))


def test_guarantees_are_measured(subject: Subject) -> None:
    found = subject.store.guarantees()
    assert found.write_once_claims
    assert found.checksums
    assert found.worm == found.versioned  # the S3 bucket was made with object lock
