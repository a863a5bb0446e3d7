"""Commands as an operator or a script meets them: documents, exit codes, no traceback."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tasks import cli
from tasks.catalog.reading import Catalog
from tasks.commands.failing import explained
from tasks.commands.onboard import EXIT_CODES, check_arguments
from tasks.commands.wording import outcome_mark, visible
from tasks.domain.errors import CatalogError, InvalidInputError, StoreError
from tasks.domain.finding import Outcome, Verdict

PICKLE = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R."
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("PROOFHOUSE_HOME", str(tmp_path / "home"))
    for name in ("PROOFHOUSE_PROFILE", "PROOFHOUSE_STORE", "PROOFHOUSE_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    # Another test of this process may have opened services of another home.
    return lambda *words: CliRunner().invoke(cli.app, [str(word) for word in words])


def document(result: Result) -> Any:
    """Returns the one JSON document on stdout; more or less than one fails here."""
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert result.stdout.count("\n") == 1
    return json.loads(result.stdout)


QUESTIONS: dict[str, tuple[list[str], set[str]]] = {
    "catalog list": (["catalog", "list"], {"checks", "batteries", "policies", "questionnaires"}),
    "catalog check": (["catalog", "check"], {"ok", "problems"}),
    "keys init": (["keys", "init"], {"public_key"}),
    "inventory assets": (["inventory", "assets"], {"assets"}),
    "inventory runs": (["inventory", "runs"], {"runs"}),
    "vendors list": (["vendors", "list"], {"vendors"}),
    "approve list": (["approve", "list"], {"approvals"}),
    "registry list": (["registry", "list"], {"versions"}),
    "canary status": (["canary", "status"], {"canaries"}),
    "events alarms": (["events", "alarms"], {"alarms"}),
    "events forward": (["events", "forward", "--once"], {"new", "known", "damaged", "waiting"}),
    "events token": (["events", "token", "intake"], {"bucket", "opaque_data"}),
}


@pytest.mark.parametrize(("words", "keys"), QUESTIONS.values(), ids=QUESTIONS)
def test_json_is_one_document_and_people_get_lines(
    words: list[str], keys: set[str], run: Run
) -> None:
    result = run(*words, "--json")
    assert result.exit_code == 0
    assert keys <= set(document(result))
    told = run(*words)
    assert told.exit_code == 0
    assert told.stdout.strip()
    assert not told.stdout.startswith("{")


@pytest.mark.parametrize(
    "entry",
    ["artifact.scan", "onboarding.quick", "tier.high", "vendor.standard", "risk.standard"],
    ids=["check", "battery", "policy", "questionnaire", "tiers"],
)
def test_an_entry_of_any_kind_is_shown(entry: str, run: Run) -> None:
    assert document(run("catalog", "show", entry, "--json"))["id"] == entry
    assert f"id: {entry}" in run("catalog", "show", entry).stdout


def test_catalog_list_names_every_check(run: Run) -> None:
    assert document(run("catalog", "list", "--json"))["checks"] == list(Catalog().ids("checks"))


def test_a_broken_catalog_is_told_with_code_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "catalogs" / "checks" / "family"
    folder.mkdir(parents=True)
    (folder / "name.yaml").write_text("id: family.other\n")
    monkeypatch.setenv("PROOFHOUSE_CATALOGS", str(tmp_path / "catalogs"))
    result = run("catalog", "check", "--json")
    assert result.exit_code == 1
    assert "family.name" in document(result)["problems"][0]


def test_a_key_is_made_once(run: Run, tmp_path: Path) -> None:
    first = document(run("keys", "init", "--json"))["public_key"]
    data = Path(first).read_bytes()
    assert document(run("keys", "init", "--json"))["public_key"] == first
    assert Path(first).read_bytes() == data
    private = [file for file in (tmp_path / "home").rglob("*") if b"PRIVATE" in safe_bytes(file)]
    assert private
    assert all(file.stat().st_mode & 0o077 == 0 for file in private)


def safe_bytes(file: Path) -> bytes:
    return file.read_bytes() if file.is_file() else b""


REFUSED: dict[str, tuple[list[str], str]] = {
    "unknown entry": (["catalog", "show", "../../etc/passwd"], "catalog.invalid"),
    "unknown run to verify": (["verify", "run-00000000000000000000"], "input.invalid"),
    "hostile run to verify": (["verify", "../../etc/passwd"], "store.failed"),
    "unknown run to report": (["report", "run-00000000000000000000"], "input.invalid"),
    "hostile run to report": (["report", "../../etc/passwd"], "store.failed"),
    "unknown format": (["report", "run-0", "--format", "pdf"], "input.invalid"),
    "path that is not there": (["scan", "/nowhere/at/all"], "input.invalid"),
    "bundle that is not there": (["onboard", "/nowhere/at/all"], "input.invalid"),
    "unknown tier": (["onboard", ".", "--tier", "huge"], "input.invalid"),
    "unknown battery": (["onboard", ".", "--battery", "none.such"], "catalog.invalid"),
}


@pytest.mark.parametrize(("words", "code"), REFUSED.values(), ids=REFUSED)
def test_wrong_words_are_explained_with_code_two(words: list[str], code: str, run: Run) -> None:
    told = run(*words)
    assert told.exit_code == 2
    assert told.stdout == ""
    assert told.stderr.startswith(code)
    assert "Traceback" not in told.stderr
    if words[0] != "report" or "--format" not in words:
        result = run(*words, "--json")
        assert result.exit_code == 2
        assert document(result)["error"]["code"] == code


@pytest.mark.parametrize("words", [[], ["scan"], ["onboard"], ["nonsense"], ["scan", "--nonsense"]])
def test_usage_errors_have_code_two(words: list[str], run: Run) -> None:
    assert run(*words).exit_code == 2


def test_an_empty_store_verifies_and_says_so(run: Run) -> None:
    result = run("verify", "--all", "--json")
    assert result.exit_code == 0
    assert document(result)["runs"] == []
    assert "0 runs" in run("verify").stdout


def test_a_bad_setting_is_explained(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFHOUSE_SANDBOX__REQUIRED", "L9")
    result = run("inventory", "assets", "--json")
    assert result.exit_code == 2
    assert document(result)["error"]["code"] == "settings.invalid"


def test_doctor_tries_every_part(run: Run) -> None:
    result = run("doctor", "--json")
    found = document(result)
    assert set(found["parts"]) == {
        "python", "sandbox", "store", "signing_key", "inventory", "gpu", "server",
    }  # fmt: skip
    broken = [part for part in found["parts"].values() if part["state"] == "broken"]
    assert found["ok"] is not bool(broken)
    assert result.exit_code == (2 if broken else 0)
    assert all(part["text"] for part in found["parts"].values())


def test_doctor_says_what_the_walls_are_built_of_and_how_to_mend(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROOFHOUSE_SANDBOX_PREFER", "L1")
    sandbox = document(run("doctor", "--json"))["parts"]["sandbox"]
    assert (sandbox["state"], sandbox["level"], sandbox["required"]) == ("broken", "L1", "L2")
    assert "no model is opened here" in sandbox["text"]
    assert sandbox["notes"] == ["level L1 was preferred; nothing higher was tried"]
    told = run("doctor").stdout
    for feature in sandbox["features"]:
        assert bool(feature["remedy"]) is not feature["enough"]
        assert feature["found"] in told
        assert feature["remedy"] in told


def test_a_missing_key_is_a_broken_part_and_no_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROOFHOUSE_STORE", "ftp://nowhere")
    result = run("doctor", "--json")
    assert result.exit_code == 2
    assert document(result)["parts"]["store"]["state"] == "broken"


def plain(folder: Path) -> Path:
    (folder / "notes.txt").write_text("weights of the first model\n")
    return folder / "notes.txt"


def hostile(folder: Path) -> Path:
    (folder / "model.pkl").write_bytes(PICKLE)
    return folder / "model.pkl"


def unknown(folder: Path) -> Path:
    (folder / "blob.bin").write_bytes(bytes((i * 97 + 13) % 251 for i in range(300)))
    return folder / "blob.bin"


def link(folder: Path) -> Path:
    plain(folder)
    (folder / "link").symlink_to("notes.txt")
    return folder / "link"


def link_to_folder_inside(folder: Path) -> Path:
    (folder / "inside").mkdir()
    (folder / "inside" / "elsewhere").symlink_to("/etc")
    return folder / "inside"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def not_text(folder: Path) -> Path:
    inside = folder / "inside"
    inside.mkdir()
    plain(inside)
    Path(os.fsdecode(bytes(inside) + b"/bad\xff.pkl")).write_bytes(PICKLE)
    return inside


def folder_behind_a_link(folder: Path) -> Path:
    real = folder / "real"
    real.mkdir()
    plain(real)
    (folder / "way").symlink_to("real")
    return folder / "way" / "notes.txt"


SCANS: list[tuple[Callable[[Path], Path], int, str]] = [
    (plain, 0, "pass"),
    (hostile, 1, "pickle.dangerous_global"),
    (unknown, 3, "format.unknown"),
    (link, 1, "file.not_regular"),
    (link_to_folder_inside, 1, "file.not_regular"),
    (pipe, 1, "file.not_regular"),
    (not_text, 1, "file.name_not_text"),
    (folder_behind_a_link, 0, "pass"),
]


@pytest.mark.parametrize(("make", "code", "word"), SCANS, ids=[row[0].__name__ for row in SCANS])
def test_scans_answer_by_exit_code(
    make: Callable[[Path], Path], code: int, word: str, run: Run, tmp_path: Path
) -> None:
    result = run("scan", make(tmp_path), "--json")
    assert result.exit_code == code, result.stderr
    found = document(result)
    assert found["outcome"] == {0: "pass", 1: "fail", 3: "undecided"}[code]
    assert word in result.stdout


def test_a_hostile_name_cannot_forge_a_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a\x1b[2K\npass       b.txt").write_text("words\n")
    told = run("scan", tmp_path)
    assert told.exit_code == 0
    assert "\x1b" not in told.stdout
    rows = [line for line in told.stdout.splitlines() if line.startswith((" pass", "pass"))]
    assert len(rows) == 1
    assert told.stdout.splitlines()[-1] == "outcome: pass (1 file: 1 pass)"


def test_a_table_says_what_to_do(run: Run, tmp_path: Path) -> None:
    told = run("scan", hostile(tmp_path))
    assert told.exit_code == 1
    assert "critical" in told.stdout
    assert "Never unpickle this file" in " ".join(told.stdout.split())


def test_a_scan_is_told_in_sarif(run: Run, tmp_path: Path) -> None:
    told = run("scan", hostile(tmp_path), "--format", "sarif")
    assert told.exit_code == 1
    assert document(told)["runs"][0]["results"][0]["ruleId"] == "pickle.dangerous_global"
    assert run("scan", hostile(tmp_path), "--format", "xml").exit_code == 2


def test_a_second_opinion_needs_a_second_scanner(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.scanners.second_opinion.installed", tuple)
    result = run("scan", hostile(tmp_path), "--second-opinion")
    assert result.exit_code == 2
    assert "proofhouse[scanners]" in result.stderr


def test_a_folder_nobody_can_read_stops_the_scan(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(tmp_path)

    def walk(path: Path, *, onerror: Callable[[OSError], None], **_: Any) -> Any:
        onerror(PermissionError(13, "Permission denied", str(path)))
        return []

    monkeypatch.setattr("os.walk", walk)  # the tests may run as root
    result = run("scan", tmp_path)
    assert result.exit_code == 2
    assert "Permission denied" in result.stderr


def test_an_empty_folder_is_no_pass(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run("scan", tmp_path / "empty")
    assert result.exit_code == 2
    assert "no files" in result.stderr


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("x"), KeyError("x"), ConnectionError("x"), RuntimeError("x")]
)
def test_defects_of_ours_keep_their_traceback(error: Exception) -> None:
    assert explained(error) is None


def test_problems_outside_are_explained() -> None:
    assert explained(StoreError("full")) == {"code": "store.failed", "text": "store.failed: full"}
    told = explained(OSError(28, "No space left on device", "/data"))
    assert told is not None
    assert told["code"] == "system.failed"
    assert "No space left on device (/data)" in told["text"]


def test_a_defect_is_not_mistaken_for_a_refusal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.commands.catalog.list_answer", lambda: 1 / 0)
    assert isinstance(run("catalog", "list").exception, ZeroDivisionError)


def test_stopping_says_that_nothing_was_sealed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tasks.commands.catalog.list_answer", stopped)
    result = run("catalog", "list")
    assert result.exit_code == 130
    assert "run the command again to resume" in result.stderr


def test_every_verdict_has_its_exit_code() -> None:
    assert {verdict.value: code for verdict, code in EXIT_CODES.items()} == {
        "accepted": 0,
        "accepted_with_conditions": 0,
        "needs_review": 3,
        "refused": 1,
    }
    assert set(EXIT_CODES) == set(Verdict)


def test_every_outcome_has_a_mark_of_one_width() -> None:
    assert {len(outcome_mark(outcome)) for outcome in Outcome} == {10}


def test_visible_spells_what_steers_a_terminal() -> None:
    assert visible("é\nx\x1b[0m\u202e") == "é\nx\\x1b[0m\\u202e"


def test_arguments_are_checked_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="does not exist"):
        check_arguments(tmp_path / "none", battery=None, tier=None)
    with pytest.raises(CatalogError):
        check_arguments(tmp_path, battery="none.such", tier=None)


UNUSABLE = {
    "assess: nothing of that name": (
        ["assess", "nobody", "--battery", "privacy"],
        "inventory assets",
    ),
    "assess: no such battery": (["assess", "nobody", "--battery", "typo"], "no entry called"),
    "drift: nothing to compare": (["drift", __file__, "gone.parquet"], "does not exist"),
    "drift: no such peer here": (
        ["drift", __file__, __file__, "--peer", "evidently"],
        "PROOFHOUSE_PEERS__EVIDENTLY is not set",
    ),
    "harden: nothing of that name": (["harden", "nobody"], "inventory assets"),
    "harden: no such defence": (["harden", "nobody", "--defence", "prayer"], "Choose from adv"),
    "harden: no such budget": (["harden", "nobody", "--epsilon", "0.9"], "allowed is"),
    "harden: nobody to attack": (["harden", "nobody", "--points", "0"], "allowed is"),
    "repair: nothing of that name": (["repair", "nobody"], "inventory assets"),
    "repair: no time to learn": (["repair", "nobody", "--epochs", "0"], "allowed is"),
    "retrain: nothing of that name": (["retrain", "nobody"], "inventory assets"),
    "retrain: no such budget": (["retrain", "nobody", "--epsilon", "0"], "outside 0.01..100"),
    "retrain: no number": (["retrain", "nobody", "--epsilon", "nan"], "outside 0.01..100"),
}


@pytest.mark.parametrize(("words", "told"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_cannot_be_worked_on_is_a_clear_error(words: list[str], told: str, run: Run) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
