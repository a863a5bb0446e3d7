"""Into quarantine: plain files only, within quotas, and what was hashed is what is stored."""

import contextlib
import errno
import io
import os
import socket
import stat
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain.bundle import FileEntry
from tasks.domain.digest import digest_of
from tasks.domain.errors import InvalidInputError, StoreError
from tasks.intake import quarantine as quarantine_module
from tasks.intake.archives import _Metered, _write, unpack
from tasks.intake.names import name_problem
from tasks.intake.quarantine import QUOTAS, Quotas, quarantine
from tests.simulators.store import MemoryStore
from tests.tasks.intake.bundles import make_bundle, take_in


def take(folder: Path, workspace: Path, quotas: Quotas = QUOTAS) -> tuple[FileEntry, ...]:
    workspace.mkdir(exist_ok=True)
    store = MemoryStore()
    try:
        return quarantine(folder, store, quotas=quotas, workspace=workspace)
    except InvalidInputError:
        assert store.objects == {}, "something was stored before the refusal"
        raise
    finally:
        assert list(workspace.iterdir()) == []


def _fifo(folder: Path) -> None:
    os.mkfifo(folder / "model.onnx")


def _socket(folder: Path) -> None:
    # Socket addresses are short, test folders are not.
    here = Path.cwd()
    os.chdir(folder)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("s.sock")
    finally:
        os.chdir(here)


def _sparse(folder: Path) -> None:
    with (folder / "sparse.bin").open("wb") as stream:
        stream.truncate(200 << 30)


def _many(folder: Path) -> None:
    for number in range(60):
        (folder / f"{number}.txt").touch()


def _deep(folder: Path) -> None:
    folder.joinpath(*"abcdefghijklmnopq").mkdir(parents=True)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "symlink to a file": (lambda f: (f / "link").symlink_to("/etc/passwd"), "symbolic link"),
    "symlink to a folder": (lambda f: (f / "link").symlink_to("/etc"), "symbolic link"),
    "dangling symlink": (lambda f: (f / "link").symlink_to("nowhere"), "symbolic link"),
    "fifo": (_fifo, "a FIFO"),
    "socket": (_socket, "a socket"),
    "200 GB sparse file": (_sparse, "a file are allowed"),
    "too many files": (_many, "more than 50 files"),
    "too deep": (_deep, "too deep"),
    "newline in a name": (lambda f: (f / "a\nb").touch(), r"\\x0a"),
    "terminal code in a name": (lambda f: (f / "a\x1b[2Jb").touch(), r"\\x1b"),
    "direction override": (lambda f: (f / "exe.\u202etxt").touch(), r"\\u202e"),
    "not utf-8": (lambda f: (f / os.fsdecode(b"\xff\xfe")).touch(), "not UTF-8"),
    "backslash": (lambda f: (f / "..\\evil").touch(), "backslash"),
    "drive letter": (lambda f: (f / "C:evil").touch(), "colon"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_plain_file_is_refused_before_anything_is_copied(
    tmp_path: Path, name: str
) -> None:
    plant, words = HOSTILE[name]
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "good.txt").write_text("good")
    plant(folder)
    with pytest.raises(InvalidInputError, match=words) as caught:
        take(folder, tmp_path / "w", Quotas(files=50))
    assert caught.value.message.isprintable()
    assert caught.value.message.isascii()


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    _fifo(tmp_path / "b")
    (tmp_path / "b" / "link").symlink_to("x")
    with pytest.raises(InvalidInputError, match=r"(?s)FIFO.*link|link.*FIFO"):
        take(tmp_path / "b", tmp_path / "w")


def test_total_size_is_counted(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in "abc":
        (tmp_path / "b" / name).write_bytes(bytes(100))
    assert len(take(tmp_path / "b", tmp_path / "w", Quotas(total_bytes=300))) == 3
    with pytest.raises(InvalidInputError, match="300 bytes in all, 299"):
        take(tmp_path / "b", tmp_path / "w", Quotas(total_bytes=299))


def test_a_file_that_grows_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b").mkdir()
    victim = tmp_path / "b" / "a"
    victim.write_bytes(b"first")
    spooled = quarantine_module._spooled

    def grown(source: int, spool: Path, most: int) -> Any:
        with victim.open("ab") as stream:
            stream.write(b" and more")
        return spooled(source, spool, most)

    monkeypatch.setattr(quarantine_module, "_spooled", grown)
    with pytest.raises(InvalidInputError, match="changed while"):
        take(tmp_path / "b", tmp_path / "w")


def test_a_file_swapped_for_a_link_after_the_survey_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (tmp_path / "b" / "d").mkdir(parents=True)
    (tmp_path / "b" / "d" / "a").write_text("plain")
    survey = quarantine_module.survey

    def then_swap(root: int, quotas: Quotas) -> Any:
        seen = survey(root, quotas)
        (tmp_path / "b" / "d" / "a").unlink()
        (tmp_path / "b" / "d" / "a").symlink_to(secret)
        return seen

    monkeypatch.setattr(quarantine_module, "survey", then_swap)
    with pytest.raises(InvalidInputError):
        take(tmp_path / "b", tmp_path / "w")


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a").write_text("plain")
    opened = Path.open

    def full(path: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if mode == "xb":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return opened(path, mode, *rest, **more)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(StoreError, match=r"No space left.*Free some space"):
        take(tmp_path / "b", tmp_path / "w")


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "large").write_bytes(bytes(64 << 20))
    (tmp_path / "w").mkdir()

    class Small(MemoryStore):
        def put_file(self, path: Path) -> Any:
            return super().put(b"").model_copy(update={"digest": _file_digest(path)})

    tracemalloc.start()
    try:
        quarantine(tmp_path / "b", Small(), quotas=QUOTAS, workspace=tmp_path / "w")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def _file_digest(path: Path) -> str:
    from tasks.domain.digest import digest_of_file  # noqa: PLC0415 - a helper of one test

    return digest_of_file(path)


@given(st.text(min_size=1, max_size=20))
@settings(max_examples=150, deadline=None)
def test_a_name_that_is_allowed_stays_in_its_folder(name: str) -> None:
    if name_problem(name) is None:
        assert Path("root", name).parent == Path("root")
        assert os.path.normpath(f"root/{name}") == f"root/{name}"


def _zip(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def _tar(path: Path, *members: tarfile.TarInfo, mode: Any = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    return path


def _member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, "/etc/passwd"
    return info


def _link_info() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def _prefixed(path: Path) -> Path:
    _zip(path, ("bundle.yaml", b"x"))
    path.write_bytes(b"PK\x03\x04 hidden" + path.read_bytes())
    return path


def _twice(path: Path) -> Path:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return _zip(path, ("a", b"1"), ("a", b"2"))


def _lying(path: Path) -> Path:
    """Says in both headers that a member is smaller than it is."""
    _zip(path, ("a", b"x" * 1000))
    data = path.read_bytes()
    path.write_bytes(data.replace((1000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    return path


def _flagged(path: Path, flag: int) -> Path:
    """Sets a general purpose flag of the one member, in the central directory."""
    data = bytearray(_zip(path, ("a", b"x" * 100)).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= flag
    path.write_bytes(data)
    return path


ARCHIVES: dict[str, Callable[[Path], Path]] = {
    "zip-slip": lambda p: _zip(p, ("../evil", b"x")),
    "zip absolute": lambda p: _zip(p, ("/evil", b"x")),
    "zip backslash": lambda p: _zip(p, ("..\\evil", b"x")),
    "zip deep slip": lambda p: _zip(p, ("a/b/../../../evil", b"x")),
    "zip long name": lambda p: _zip(p, ("a" * 300, b"x")),
    "zip link": lambda p: _zip(p, (_link_info(), b"/etc/passwd")),
    "zip twice": _twice,
    "zip file and folder": lambda p: _zip(p, ("a", b"1"), ("a/b", b"2")),
    "zip prefix": _prefixed,
    "zip lying": _lying,
    "zip bomb": lambda p: _zip(p, *((f"{n}", bytes(3 << 20)) for n in range(4))),
    "zip many": lambda p: _zip(p, *((f"{n}", b"") for n in range(60))),
    "zip truncated": lambda p: (p.write_bytes(_zip(p, ("a", b"1")).read_bytes()[:-9]), p)[1],
    "tar-slip": lambda p: _tar(p, _member("../evil")),
    "tar absolute": lambda p: _tar(p, _member("/evil")),
    "tar symlink": lambda p: _tar(p, _member("link", tarfile.SYMTYPE)),
    "tar hard link": lambda p: _tar(p, _member("link", tarfile.LNKTYPE)),
    "tar device": lambda p: _tar(p, _member("dev", tarfile.CHRTYPE)),
    "tar fifo": lambda p: _tar(p, _member("fifo", tarfile.FIFOTYPE)),
    "tar twice": lambda p: _tar(p, _member("a"), _member("a")),
    "tar many": lambda p: _tar(p, *(_member(str(n)) for n in range(60))),
    "tar too large": lambda p: _tar(p, _member("a", size=12 << 20)),
    "tar.gz bomb": lambda p: _tar(
        p, *(_member(str(n), size=3 << 20) for n in range(4)), mode="w:gz"
    ),
    "tar huge name": lambda p: _tar(p, _member("n" * (3 << 20))),
    "gz of nothing": lambda p: (p.write_bytes(b"\x1f\x8b\x08\x00junk"), p)[1],
    "zip patched": lambda p: _flagged(p, 0x20),
    "zip encrypted": lambda p: _flagged(p, 0x01),
    "text": lambda p: (p.write_bytes(b"hello"), p)[1],
    "empty": lambda p: (p.write_bytes(b""), p)[1],
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_hostile_archives_are_refused_and_write_nothing_outside(tmp_path: Path, name: str) -> None:
    archive = ARCHIVES[name](tmp_path / "archive")
    into = tmp_path / "jail" / "into"
    into.mkdir(parents=True)
    with pytest.raises(InvalidInputError) as caught:
        unpack(archive, into, quotas=Quotas(files=50, total_bytes=10 << 20))
    assert caught.value.message.isprintable()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "jail"]
    assert [path.name for path in (tmp_path / "jail").iterdir()] == ["into"]
    assert sum(f.stat().st_size for f in into.rglob("*") if f.is_file()) <= 10 << 20


@given(cut=st.integers(0, 2000), flip=st.integers(0, 255), tar=st.booleans())
@settings(max_examples=120, deadline=None)
def test_damaged_archives_unpack_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int, tar: bool
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    archive = (
        _tar(folder / "a", _member("d/x", size=600), mode="w:gz")
        if tar
        else _zip(folder / "a", ("d/x", os.urandom(600)), ("bundle.yaml", b"a: b"))
    )
    data = bytearray(archive.read_bytes())
    data[cut % len(data)] ^= flip
    archive.write_bytes(data)
    (folder / "into").mkdir()
    with contextlib.suppress(InvalidInputError):
        unpack(archive, folder / "into", quotas=QUOTAS)
    assert sorted(path.name for path in folder.iterdir()) == ["a", "into"]


def test_wrapped_archives_give_the_same_subject(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "acme" / "bundle")
    plain = take_in(folder, tmp_path / "w")
    packed = tmp_path / "packed.tgz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(folder, "bundle-1.2")
    assert take_in(packed, tmp_path / "w") == plain


def test_what_is_stored_is_what_lay_there(tmp_path: Path) -> None:
    (tmp_path / "b" / "d").mkdir(parents=True)
    (tmp_path / "b" / "d" / "x").write_bytes(b"abc")
    (tmp_path / "b" / "empty").touch()
    assert take(tmp_path / "b", tmp_path / "w") == (
        FileEntry(path="d/x", digest=digest_of(b"abc"), size_bytes=3),
        FileEntry(path="empty", digest=digest_of(b""), size_bytes=0),
    )


def test_each_guard_holds_alone(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    root = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="symbolic links"):
            quarantine_module._open_file(root, "link")
    finally:
        os.close(root)
    with pytest.raises(tarfile.ReadError, match="megabyte"):
        _Metered(io.BytesIO(), 1 << 30).read(2 << 20)
    with pytest.raises(InvalidInputError, match="quota"):
        _Metered(io.BytesIO(b"abc"), 2).read(3)
    for promised in (2, 4):
        with pytest.raises(InvalidInputError, match="more or less"):
            _write(io.BytesIO(b"abc"), tmp_path / str(promised), promised)


def test_a_file_that_grows_with_its_time_set_back_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b").mkdir()
    victim = tmp_path / "b" / "a"
    victim.write_bytes(b"first")
    before = victim.stat()
    spooled = quarantine_module._spooled

    def grown(source: int, spool: Path, most: int) -> Any:
        with victim.open("ab") as stream:
            stream.write(b" and more")
        os.utime(victim, ns=(before.st_atime_ns, before.st_mtime_ns))
        return spooled(source, spool, most)

    monkeypatch.setattr(quarantine_module, "_spooled", grown)
    with pytest.raises(InvalidInputError, match="changed while"):
        take(tmp_path / "b", tmp_path / "w")


def test_a_file_swapped_for_another_after_the_survey_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a").write_text("plain")
    (tmp_path / "other").write_text("other")
    survey = quarantine_module.survey

    def then_swap(root: int, quotas: Quotas) -> Any:
        seen = survey(root, quotas)
        (tmp_path / "other").replace(tmp_path / "b" / "a")
        return seen

    monkeypatch.setattr(quarantine_module, "survey", then_swap)
    with pytest.raises(InvalidInputError, match="changed while"):
        take(tmp_path / "b", tmp_path / "w")
