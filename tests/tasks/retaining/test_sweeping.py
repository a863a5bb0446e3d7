"""Leftovers go, whatever somebody uses stays, and nothing outside is touched."""

import os
import time
from pathlib import Path

import pytest

from tasks.retaining.sweeping import DAY_SECONDS, sweep

NOW = time.time()


def aged(path: Path, days: float, data: bytes = b"12345") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    moment = NOW - days * DAY_SECONDS
    for each in (path, *path.parents[: len(path.relative_to(path.anchor).parts) - 3]):
        if "scratch" in each.parts or "reports" in each.parts:
            os.utime(each, (moment, moment))
    return path


def test_old_scratch_and_reports_go_and_evidence_stays(tmp_path: Path) -> None:
    old = aged(tmp_path / "scratch" / "check-1" / "deep" / "weights", 3)
    fresh = aged(tmp_path / "scratch" / "check-2" / "weights", 1)
    report = aged(tmp_path / "reports" / "run-1.html", 91)
    kept = [aged(tmp_path / "reports" / "run-2.html", 89), aged(tmp_path / "store" / "x", 9999)]
    swept = sweep(tmp_path, days=2, reports_days=90, now=NOW)
    assert (swept.entries, swept.size_bytes, swept.problems) == (2, 10, ())
    assert not old.parent.parent.exists()
    assert not report.exists()
    assert fresh.exists()
    assert all(path.exists() for path in kept)


def test_a_workspace_in_which_anything_is_fresh_is_somebodys(tmp_path: Path) -> None:
    aged(tmp_path / "scratch" / "check-1" / "old", 9)
    (tmp_path / "scratch" / "check-1" / "new").write_bytes(b"")
    os.utime(tmp_path / "scratch" / "check-1", (0, 0))
    assert sweep(tmp_path, days=2, reports_days=90, now=NOW).entries == 0


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("keep")
    (tmp_path / "scratch").mkdir()
    link = tmp_path / "scratch" / "link"
    link.symlink_to(precious)
    os.utime(link, (0, 0), follow_symlinks=False)
    assert sweep(tmp_path, days=2, reports_days=90, now=NOW).entries == 1
    assert (precious / "file").read_text() == "keep"
    (tmp_path / "reports").symlink_to(precious)
    assert sweep(tmp_path, days=0, reports_days=0, now=NOW + 1).entries == 0


def test_what_cannot_be_removed_is_told_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = aged(tmp_path / "scratch" / "a", 3)
    second = aged(tmp_path / "scratch" / "b", 3)
    remove = Path.unlink

    def stubborn(path: Path, missing_ok: bool = False) -> None:
        if path == first:
            raise PermissionError(1, "not permitted")
        remove(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", stubborn)
    swept = sweep(tmp_path, days=2, reports_days=90, now=NOW)
    assert (swept.entries, len(swept.problems)) == (1, 1)
    assert not second.exists()


def test_a_home_without_leftovers_is_fine(tmp_path: Path) -> None:
    assert sweep(tmp_path, days=2, reports_days=90) == (0, 0, ())
