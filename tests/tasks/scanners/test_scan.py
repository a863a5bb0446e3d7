"""The contract of the artifact scan over the whole hostile and the whole honest corpus."""

import hashlib
import json
import os
import socket
import threading
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.domain.severity import Severity
from tasks.scanners import text_file
from tasks.scanners.report import ScanReport, is_openable
from tasks.scanners.scan import scan_file, scan_paths, scan_paths_json
from tests.tasks.scanners.benign import benign
from tests.tasks.scanners.corpus import CALLABLES, EVIL, EVIL4, archived, hostile, torch_like
from tests.tasks.scanners.corpus_rules import doubtful

HOSTILE = dict(hostile())
KINDS = sorted({name.partition("/")[0] for name in HOSTILE})
SMALL = sorted(name for name, data in HOSTILE.items() if len(data) < 4000)


def scanned(folder: Path, name: str, data: bytes) -> str:
    path = folder / "file"
    path.write_bytes(data)
    report = scan_file(path, name)
    assert report.sha256 == hashlib.sha256(data).hexdigest()
    assert "scan.broke" not in {finding.rule for finding in report.findings}, name
    return report.outcome


@pytest.mark.parametrize("kind", KINDS)
def test_no_hostile_file_passes(kind: str, tmp_path: Path) -> None:
    mine = {name: data for name, data in HOSTILE.items() if name.startswith(kind + "/")}
    answers = {name: scanned(tmp_path, name, data) for name, data in mine.items()}
    assert {name for name, answer in answers.items() if answer != "fail"} == set()


DOUBTFUL = {
    "soft.h5": "pass",
    "orders.md": "pass",
    "printing.pb": "pass",
    "form_feed.txt": "pass",
    "unlisted.pb": "undecided",
    "blob.bin": "undecided",
    "table.orc": "undecided",
}


@pytest.mark.parametrize(("name", "data"), list(doubtful()), ids=[name for name, _ in doubtful()])
def test_what_is_only_worth_knowing_does_not_fail(name: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    report = scan_file(path, name)
    assert report.outcome == DOUBTFUL[name]
    assert report.findings


def test_the_corpus_is_what_it_claims() -> None:
    assert len(CALLABLES) >= 124
    assert len(HOSTILE) >= 700
    assert all(callable_ in EVIL.decode("latin-1") for callable_ in ("os\n", "getcwd\n"))


def test_every_honest_file_passes(tmp_path: Path) -> None:
    answers = {name: scanned(tmp_path, name, data) for name, data in benign(tmp_path)}
    assert len(answers) >= 250
    assert {name for name, answer in answers.items() if answer != "pass"} == set()


@pytest.mark.parametrize(
    "data",
    [EVIL, EVIL4, HOSTILE["opcodes/protocol0.pkl"], HOSTILE["opcodes/memo.pkl"]],
    ids=["protocol2", "protocol4", "protocol0", "memo"],
)
def test_no_prefix_with_the_dangerous_name_passes(data: bytes, tmp_path: Path) -> None:
    named = data.index(b"getcwd") + len(b"getcwd") + 1
    for cut in range(named, len(data)):
        assert scanned(tmp_path, "model.pkl", data[:cut]) == "fail", cut


@pytest.mark.parametrize(
    "name", ["zip/evil_pkl.pt", "zip/deflated.pt", "safetensors/script.safetensors"]
)
def test_no_truncation_crashes_or_passes(name: str, tmp_path: Path) -> None:
    data = HOSTILE[name]
    for cut in range(1, len(data), 7):
        assert scanned(tmp_path, name, data[:cut]) != "pass", cut


def test_a_dangerous_call_is_named_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(archived(torch_like(EVIL)))
    finding = scan_file(path).findings[0]
    assert finding.severity is Severity.CRITICAL
    assert finding.rule == "pickle.dangerous_global"
    assert finding.location == "model.pt!m/data.pkl:2"
    assert "os.getcwd" in finding.detail


def test_duplicates_are_ambiguous_and_both_are_read(tmp_path: Path) -> None:
    for name in ("zip/duplicate_evil_first.pt", "zip/duplicate_evil_last.pt"):
        path = tmp_path / "model.pt"
        path.write_bytes(HOSTILE[name])
        rules = {finding.rule for finding in scan_file(path).findings}
        assert {"zip.ambiguous", "pickle.dangerous_global"} <= rules


def test_pipes_sockets_links_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/hostname")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket"))
    started = time.process_time()
    names = [tmp_path / "pipe", tmp_path / "link", tmp_path / "socket", Path("/dev/zero"), tmp_path]
    for path in names:
        report = scan_file(path)
        assert (report.outcome, report.sha256) == ("fail", None), path
        assert report.findings[0].rule == "file.not_regular"
    server.close()
    assert time.process_time() - started < 1
    assert scan_file(tmp_path / "missing").findings[0].rule == "file.unreadable"


def test_bombs_are_refused_quickly(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x", "w", force_zip64=True) as member,
    ):
        for _ in range(128):
            member.write(b"\0" * (1 << 20))
    many = tmp_path / "many.zip"
    with zipfile.ZipFile(many, "w") as archive:
        for index in range(60_000):
            archive.writestr(f"{index}", b"")
    for file, rule in ((path, "archive.bomb"), (many, "archive.too_many_entries")):
        started = time.process_time()
        report = scan_file(file)
        assert rule in {finding.rule for finding in report.findings}
        assert time.process_time() - started < 1


def test_sparse_giants_are_streamed(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as stream:
        stream.write((1 << 60).to_bytes(8, "little") + b'{"a"')
        stream.truncate(256 << 20)
    report = scan_file(path)
    assert report.outcome == "fail"
    assert report.bytes == 256 << 20


def test_unknown_bytes_are_undecided_never_passed(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(bytes(range(256)) * 8)
    report = scan_file(path)
    assert report.outcome == "undecided"
    assert [finding.rule for finding in report.findings] == ["format.unknown"]


def test_the_worst_file_decides(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# fine\n")
    assert scan_paths([tmp_path]).outcome == "pass"
    (tmp_path / "b").write_bytes(bytes(range(256)))
    assert scan_paths([tmp_path]).outcome == "undecided"
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.pkl").write_bytes(EVIL)
    report = scan_paths([tmp_path])
    assert report.outcome == "fail"
    assert [file.path for file in report.files] == ["a.md", "b", "sub/c.pkl"]
    assert ScanReport.of([]).outcome == "undecided"


def test_the_procedure_answers_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(EVIL)
    values = json.loads(
        json.dumps(scan_paths_json(paths=[str(path)], names=["v/model.pkl"]).values)
    )
    assert set(values) == {"outcome", "files"}
    (file,) = values["files"]
    assert set(file) == {"path", "format", "sha256", "bytes", "outcome", "findings"}
    assert set(file["findings"][0]) == {"rule", "severity", "detail", "location"}
    assert file["path"] == "v/model.pkl"
    with pytest.raises(ValueError, match="names"):
        scan_paths_json(paths=[str(path)], names=[])


def test_the_same_bytes_give_the_same_report(tmp_path: Path) -> None:
    for name in ("zip/overlap.pt", "keras/function.keras", "nested/fifty.zip"):
        path = tmp_path / "file"
        path.write_bytes(HOSTILE[name])
        assert scan_file(path, name).canonical() == scan_file(path, name).canonical()


def test_only_what_passed_and_has_a_target_may_be_opened(tmp_path: Path) -> None:
    good = archived({"a.npy": b"\x93NUMPY\x01\x00"})
    (tmp_path / "bad.pt").write_bytes(archived(torch_like(EVIL)))
    (tmp_path / "note.md").write_text("text\n")
    (tmp_path / "zip.zip").write_bytes(good)
    report = scan_paths([tmp_path])
    assert is_openable(report, "bad.pt")[0] is False
    assert is_openable(report, "note.md") == (False, "note.md is md, a format that is never opened")
    assert is_openable(report, "other")[0] is False


def test_a_defect_of_ours_never_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(text_file, "inspect_text", broken)
    path = tmp_path / "a.md"
    path.write_text("# fine\n")
    report = scan_file(path)
    assert report.outcome == "fail"
    assert report.findings[0].rule == "scan.broke"


def test_hashing_works_where_no_thread_can_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert scanned(tmp_path, "a.md", b"text\n") == "pass"


FUZZ = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZ
@given(
    data=st.binary(max_size=600), name=st.sampled_from(["a", "a.pkl", "a.onnx", "a.json", "a.md"])
)
def test_random_bytes_never_break_the_scan(data: bytes, name: str, tmp_path: Path) -> None:
    scanned(tmp_path, name, data)


@FUZZ
@given(
    name=st.sampled_from(SMALL),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
)
def test_mutated_hostile_files_never_break_the_scan(
    name: str, cuts: list[tuple[float, int]], tmp_path: Path
) -> None:
    data = bytearray(HOSTILE[name])
    for place, value in cuts:
        if data:
            data[min(int(place * len(data)), len(data) - 1)] = value
    scanned(tmp_path, name, bytes(data))


@FUZZ
@given(tail=st.binary(max_size=200))
def test_nothing_after_a_dangerous_call_hides_it(tail: bytes, tmp_path: Path) -> None:
    assert scanned(tmp_path, "model.pkl", EVIL4[:-1] + tail) == "fail"
