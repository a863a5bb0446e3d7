"""The folder store: durable, write-once, clear about a disk that refuses."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.domain.digest import digest_of
from tasks.domain.errors import StoreError
from tasks.store.local import LocalStore
from tests.services.processes import wait_until

# A file system of its own in a mount namespace of its own: really full, really read-only.
FULL_DISK = """
import sys, pathlib
from tasks.domain.errors import StoreError
from tasks.store.local import LocalStore
store = LocalStore(pathlib.Path(sys.argv[1]))
kept = store.put(b"kept")
for action in (
    lambda: store.put(bytes(4 << 20)),
    lambda: store.put_file(pathlib.Path("/dev/shm") / sys.argv[2]),
):
    try:
        action()
    except StoreError as error:
        print(error)
assert list(store.digests()) == [kept.digest], "a partial object was left"
assert not list((store.root / "tmp").iterdir()), "a partial file was left"
assert store.get(kept.digest) == b"kept"
store.put(b"small things fit again")
"""
READ_ONLY = """
import sys, pathlib
from tasks.domain.digest import digest_of
from tasks.domain.errors import StoreError
from tasks.store.local import LocalStore
store = LocalStore(pathlib.Path(sys.argv[1]))
assert store.get(digest_of(b"kept")) == b"kept"
assert store.claimed("run") == b"1" and list(store.claims()) == ["run"]
assert store.claim("run", b"2") is False
assert store.put(b"kept").digest == digest_of(b"kept")
for action in (lambda: store.put(b"new"), lambda: store.claim("new", b"1"), store.guarantees):
    try:
        action()
    except StoreError as error:
        print(error)
"""


def in_own_mounts(mount: str, program: str, *arguments: str) -> str:
    script = f'{mount} && exec {sys.executable} -c "$PROGRAM" {" ".join(arguments)}'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        env=os.environ | {"PROGRAM": program},
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    if "unshare failed" in done.stderr or "permission denied" in done.stderr:
        pytest.skip(f"no mount namespaces here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    large = Path("/dev/shm") / f"proofhouse-{os.getpid()}"  # noqa: S108 - outside the full disk
    large.write_bytes(bytes(4 << 20))
    try:
        told = in_own_mounts(
            f"mount -t tmpfs -o size=1m none {tmp_path}", FULL_DISK, str(tmp_path / "s"), large.name
        )
    finally:
        large.unlink()
    assert told.count("No space left on device. The disk is full: free space") == 2


def test_a_read_only_disk_can_be_read_and_refuses_clearly(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put(b"kept")
    store.claim("run", b"1")
    mount = f"mount --bind {tmp_path} {tmp_path} && mount -o remount,bind,ro {tmp_path}"
    assert in_own_mounts(mount, READ_ONLY, str(tmp_path)).count("Read-only file system") == 3


def test_a_missing_right_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be stored"):
        LocalStore(tmp_path / "file").put(b"x")


def test_objects_lie_where_the_documentation_says(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    digest = store.put(b"x").digest.removeprefix("sha256:")
    path = tmp_path / "sha256" / digest[:2] / digest
    assert path.read_bytes() == b"x"
    assert path.stat().st_mode & 0o222 == 0
    assert store.claim("runs/a", b"1")
    assert (tmp_path / "claims" / "runs" / "a=").read_bytes() == b"1"


def test_foreign_files_are_no_objects(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    digest = store.put(b"x").digest
    (tmp_path / "sha256" / "zz").mkdir()
    (tmp_path / "sha256" / "zz" / ("z" * 64)).write_bytes(b"")
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "UPPER=").write_bytes(b"")
    assert list(store.digests()) == [digest]
    assert list(store.claims()) == []


def test_a_pipe_in_place_of_an_object_is_refused_at_once(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    digest = store.put(b"x").digest
    path = store._path(digest)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(StoreError, match="not a plain file"):
        store.get(digest)


def test_only_the_dead_writers_files_are_swept(tmp_path: Path) -> None:
    program = (
        "import sys, time, pathlib\n"
        "from tasks.store.durable import temporary\n"
        "with temporary(pathlib.Path(sys.argv[1])) as draft:\n"
        "    draft.stream.write(b'half'); draft.stream.flush(); time.sleep(60)"
    )
    folder = tmp_path / "tmp"
    writers = [subprocess.Popen([sys.executable, "-c", program, str(folder)]) for _ in range(2)]
    wait_until(lambda: len(list(folder.glob("*.part"))) == 2, what="two writers", seconds=20)
    time.sleep(0.2)
    try:
        for path in folder.iterdir():  # an hour later, by the clock
            os.utime(path, (time.time() - 3600,) * 2)
        writers[0].kill()
        writers[0].wait()
        LocalStore(tmp_path)
        assert len(list(folder.iterdir())) == 1
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    LocalStore(tmp_path)
    assert list(folder.iterdir()) == []


def test_killed_writers_leave_whole_objects_or_none(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from tasks.store.local import LocalStore\n"
        "store = LocalStore(pathlib.Path(sys.argv[1]))\n"
        "for number in range(10_000):\n"
        "    ref = store.put(str(number).encode() * 50_000)\n"
        "    print(ref.digest, flush=True)"
    )
    acknowledged: list[str] = []
    for seconds in (0.1, 0.25):
        writer = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout
        acknowledged.append(writer.stdout.readline().strip())
        time.sleep(seconds)
        writer.kill()
        rest, _ = writer.communicate()
        acknowledged += [line for line in rest.splitlines() if len(line) == 71]
    store = LocalStore(tmp_path)
    stored = set(store.digests())
    assert set(acknowledged) <= stored
    assert all(digest_of(store.get(digest)) == digest for digest in stored)


def test_of_racing_processes_one_wins(tmp_path: Path) -> None:
    program = (
        "import sys, time, pathlib\n"
        "from tasks.store.local import LocalStore\n"
        "store = LocalStore(pathlib.Path(sys.argv[1]))\n"
        "time.sleep(max(0, float(sys.argv[3]) - time.time()))\n"
        "print([store.claim(f'race/{n}', sys.argv[2].encode()) for n in range(40)])"
    )
    start = str(time.time() + 2)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path), str(number), start],
            stdout=subprocess.PIPE,
        )
        for number in range(4)
    ]
    answers = [eval(racer.communicate(timeout=60)[0]) for racer in racers]  # noqa: S307 - our print
    store = LocalStore(tmp_path)
    for race in range(40):
        [winner] = [number for number, answer in enumerate(answers) if answer[race]]
        assert store.claimed(f"race/{race}") == str(winner).encode()


@pytest.mark.parametrize(
    "action",
    [lambda store: store.put(b"x" * 100), lambda store: store.claim("run", b"x")],
    ids=["put", "claim"],
)
def test_without_hard_links_it_fails_instead_of_pretending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: Callable[[LocalStore], object]
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    store = LocalStore(tmp_path)
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with pytest.raises(StoreError, match="refuses hard links"):
        action(store)
    assert list(store.digests()) == []
    assert list(store.claims()) == []


def test_fetching_needs_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    store = LocalStore(tmp_path / "store")
    digest = store.put(b"bytes").digest
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    store.fetch(digest, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"bytes"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "store"]
