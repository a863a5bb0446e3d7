"""Other tools under their own interpreters: what they get, what is believed, what is explained."""

import json
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from tasks.domain.errors import InvalidInputError, PeerError, SettingsError
from tasks.reports import peer_reports
from tasks.reports.peer_reports import interpreter_of, peer_report
from tests.tasks.detectors.drift.tables import batch, people

BEFORE, NOW = batch(people(1, 300)), batch(people(2, 200, older=30))
HONEST = """
import json, os, sys
reference, current, out = sys.argv[2:5]
told = {"args": len(sys.argv), "environment": sorted(os.environ), "isolated": sys.flags.isolated}
open(os.path.join(out, "report.html"), "w").write("<p>" + json.dumps(told) + "</p>")
rows = [{"column": "age", "method": "K-S p_value", "score": 0.001, "drifted": True}]
summary = {"tool": "evidently", "version": "0.0", "columns": rows}
open(os.path.join(out, "summary.json"), "w").write(json.dumps(summary))
"""


def fake(folder: Path, program: str) -> Path:
    """Makes an interpreter that runs ``program`` whatever script it is told to run."""
    (folder / "program.py").write_text(program, encoding="utf-8")
    place = folder / "python"
    place.write_text(
        f'#!/bin/sh\nshift\nexec {sys.executable} -I {folder}/program.py "$@"\n', encoding="utf-8"
    )
    place.chmod(0o755)
    return place


def test_a_peers_answer_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    report = peer_report("evidently", fake(tmp_path, HONEST), BEFORE, NOW)
    assert [(one.column, one.drifted) for one in report.columns] == [("age", True)]
    assert report.html is not None
    seen = json.loads(report.html.decode()[3:-4])
    assert seen["args"] == 5
    assert seen["isolated"] == 1
    # Nothing of ours, and no credentials: what the peer may know is a short list.
    known = {"HOME", "PATH", "LC_ALL", "OMP_NUM_THREADS", "MPLCONFIGDIR", "NO_PROXY", "PWD"}
    assert set(seen["environment"]) <= known | {"OLDPWD", "SHLVL", "_", "LC_CTYPE"}


def test_a_peer_reads_the_rows_as_our_reader_saw_them(tmp_path: Path) -> None:
    place = tmp_path / "out.parquet"
    peer_reports._write(NOW, place)
    table = pd.read_parquet(place)
    assert list(table.columns) == ["age", "income", "job"]
    assert len(table) == 200
    assert set(table["job"]) == {"clerk", "nurse", "smith"}


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("raise SystemExit('no module named evidently')", "exit code 1.*no module named"),
        ("pass", "without a summary"),
        ("import sys; open(sys.argv[4] + '/summary.json', 'w').write('{')", "cannot be read"),
        ("import sys; open(sys.argv[4] + '/summary.json', 'w').write('[]')", "cannot be read"),
        (
            "import os, sys; os.symlink('/etc/passwd', sys.argv[4] + '/summary.json')",
            "without a summary",
        ),
    ],
)
def test_a_peer_that_fails_is_explained(tmp_path: Path, program: str, words: str) -> None:
    with pytest.raises(PeerError, match=words):
        peer_report("evidently", fake(tmp_path, program), BEFORE, NOW)


def test_a_peer_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_reports, "SECONDS", 1)
    started = time.monotonic()
    with pytest.raises(PeerError, match="more than 1 s"):
        peer_report("evidently", fake(tmp_path, "import time; time.sleep(600)"), BEFORE, NOW)
    assert time.monotonic() - started < 120


def test_what_is_not_configured_says_how_to_configure_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"PROOFHOUSE_PEERS__EVIDENTLY is not set.*pandas==2"):
        interpreter_of("evidently", {})
    with pytest.raises(SettingsError, match="no program that can be run"):
        interpreter_of("whylogs", {"whylogs": str(tmp_path / "python")})
    with pytest.raises(InvalidInputError, match="Known: evidently, whylogs"):
        interpreter_of("nannyml", {"nannyml": sys.executable})


def test_every_peer_has_its_script() -> None:
    scripts = {file.name for file in peer_reports.SCRIPTS.glob("*_report.py")}
    assert scripts == {f"{peer}_report.py" for peer in peer_reports.PEERS}
