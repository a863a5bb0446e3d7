"""Drops: complete or waiting, taken once whoever looks, and poison keeps nobody else waiting."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks import dropping
from tasks.domain.errors import InvalidInputError, StoreError
from tasks.dropping import Result, Taking
from tasks.intake.drops import Drop, DropFile, FolderPlace, Patience, waiting_reason
from tests.services.asked import only_when_asked
from tests.services.ceph import Ceph
from tests.simulators.store import MemoryStore
from tests.tasks.intake.bundles import make_bundle

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Onboarding:
    """Counts what it is asked to onboard; may be told to break."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.breaks: dict[str, BaseException] = {}

    def __call__(self, path: Path) -> dict[str, Any]:
        self.seen.append(path.name)
        if path.name in self.breaks:
            raise self.breaks[path.name]
        return {"run": f"run-{path.name}", "verdict": "accepted"}


class Bench:
    """A folder of drops, a store, and passes over it."""

    def __init__(self, tmp_path: Path) -> None:
        self.place = tmp_path / "intake"
        self.place.mkdir()
        self.store = MemoryStore()
        self.run = Onboarding()
        self._scratch = tmp_path / "scratch"

    def drop(self, name: str, *, ready: bool = True, text: str = "weights") -> Path:
        folder = make_bundle(self.place / name)
        (folder / "notes.txt").write_text(text)
        if ready:
            (self.place / f"{name}.ready").touch()
        return folder

    def passed(self, *, later: timedelta = timedelta()) -> dict[str, Result]:
        taking = Taking(FolderPlace(self.place), self.store, self.run, self._scratch, Patience())
        return {one.name: one for one in taking.one_pass(datetime.now(UTC) + later)}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_drop_is_onboarded_once(bench: Bench) -> None:
    bench.drop("a")
    first, again = bench.passed()["a"], bench.passed()["a"]
    assert (first.state, first.run, first.verdict) == ("onboarded", "run-a", "accepted")
    assert (again.state, again.run, again.content) == ("known", "run-a", first.content)
    assert bench.run.seen == ["a"]


def test_the_same_content_under_another_name_is_the_same_drop(bench: Bench) -> None:
    shutil.copytree(bench.drop("a"), bench.place / "b")
    (bench.place / "b.ready").touch()
    found = bench.passed()
    assert Counter(one.state for one in found.values()) == {"onboarded": 1, "known": 1}
    assert "came as a" in found["b"].reason
    bench.drop("c", text="other weights")
    assert bench.passed()["c"].state == "onboarded"
    assert bench.run.seen == ["a", "c"]


def test_a_quiet_drop_needs_no_mark_and_a_moving_one_waits(bench: Bench) -> None:
    bench.drop("a", ready=False)
    assert "s of quiet count" in bench.passed()["a"].reason
    assert bench.passed(later=timedelta(minutes=2))["a"].state == "onboarded"


def test_a_drop_waits_for_the_files_that_its_manifest_names(bench: Bench) -> None:
    (bench.drop("a", ready=False) / "data" / "eval.npz").unlink()
    late = bench.passed(later=timedelta(hours=1))["a"]
    assert (late.state, "data/eval.npz" in late.reason) == ("waiting", True)
    assert bench.run.seen == []
    # After a day nobody waits any longer; intake then says what is missing.
    assert bench.passed(later=timedelta(days=2))["a"].state == "onboarded"


def test_poison_is_set_aside_and_the_others_go_on(bench: Bench) -> None:
    for name in ("a", "b", "c"):
        bench.drop(name, text=name)
    bench.run.breaks = {"b": InvalidInputError("it has no bundle.yaml")}
    found = bench.passed()
    assert {name: one.state for name, one in found.items()} == {
        "a": "onboarded", "b": "poison", "c": "onboarded",
    }  # fmt: skip
    assert "it has no bundle.yaml" in found["b"].reason
    assert not (bench.place / "b").exists()
    [reason] = (bench.place / ".poison").glob("b-*.reason.txt")
    assert reason.read_text() == "it has no bundle.yaml\n"
    bench.drop("again", text="b")
    assert bench.passed()["again"].state == "poison"
    assert bench.run.seen == ["a", "b", "c"]


def test_links_and_pipes_are_poison_without_being_followed(bench: Bench, tmp_path: Path) -> None:
    (bench.drop("a") / "key").symlink_to("/etc/passwd")
    private = tmp_path / "private"
    private.mkdir()
    (private / "bundle.yaml").write_text("schema: x")
    (bench.place / "b").symlink_to(private)
    os.mkfifo(bench.place / "c")
    for name in ("b", "c"):
        (bench.place / f"{name}.ready").touch()
    assert {one.state for one in bench.passed().values()} == {"poison"}
    assert bench.run.seen == []
    assert Path("/etc/passwd").is_file()


@pytest.mark.parametrize(
    "error", [StoreError("full"), OSError(28, "No space left on device"), RuntimeError("lost")]
)
def test_trouble_that_is_not_the_drops_is_tried_again(bench: Bench, error: Exception) -> None:
    bench.drop("a")
    bench.drop("b", text="b")
    bench.run.breaks = {"a": error}
    found = bench.passed()
    assert (found["a"].state, found["b"].state) == ("failed", "onboarded")
    bench.run.breaks = {}
    assert bench.passed()["a"].state == "onboarded"


def test_a_store_that_is_down_for_long_poisons_nothing(bench: Bench) -> None:
    bench.drop("a")
    bench.run.breaks = {"a": StoreError("full")}
    assert {bench.passed()["a"].state for _ in range(10)} == {"failed"}


def test_a_drop_that_processes_die_of_is_given_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.drop("a")
    bench.run.breaks = {"a": SystemExit()}
    claim, numbers = bench.store.claim, iter(range(1000))
    with monkeypatch.context() as dying:  # nobody says that it is over, and nobody is there
        dying.setattr(
            bench.store, "claim", lambda name, data: "released-" in name or claim(name, data)
        )
        dying.setattr(dropping, "_began", lambda _: next(numbers))
        for _ in range(dropping.MOST_DEATHS):
            with pytest.raises(SystemExit):
                bench.passed()
        assert bench.passed()["a"].state == "poison"
    assert len(bench.run.seen) == dropping.MOST_DEATHS


def test_who_is_at_work_is_not_disturbed_and_the_dead_are_relieved(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.drop("a")
    held = subprocess.Popen(["sleep", "600"])
    try:
        with monkeypatch.context() as other:
            other.setattr(os, "getpid", lambda: held.pid)
            bench.run.breaks = {"a": SystemExit()}
            release = bench.store.claim
            other.setattr(
                bench.store, "claim",
                lambda name, data: "released-" in name or release(name, data),
            )  # fmt: skip
            with pytest.raises(SystemExit):
                bench.passed()
        bench.run.breaks = {}
        assert bench.passed()["a"].state == "busy"
    finally:
        held.kill()
        held.wait()
    assert bench.passed()["a"].state == "onboarded"


def listed(*, age: timedelta, path: str = "") -> Drop:
    return Drop("a", (DropFile(path, 1, "m", NOW - age),), ready=False)


def test_an_archive_is_complete_when_it_is_quiet(bench: Bench) -> None:
    place = FolderPlace(bench.place)
    for age, waits in ((1, True), (29, True), (30, False), (300, False)):
        drop = listed(age=timedelta(seconds=age))
        assert bool(waiting_reason(drop, place, Patience(), NOW)) is waits
    assert waiting_reason(Drop("a", (), ready=False), place, Patience(), NOW) == "it is empty"


def hundred(place: str, store: str, home: Path, environment: dict[str, str]) -> Counter[str]:
    """100 at once: 4 processes of 25 threads each; returns how many said what."""
    home.mkdir()
    words = [sys.executable, "-m", "tests.tasks.drop_worker", place, store, str(home), "25"]
    workers = [
        subprocess.Popen(
            words, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(4)
    ]
    said: Counter[str] = Counter()
    for worker in workers:
        out, err = worker.communicate(timeout=240)
        assert worker.returncode == 0, err.decode()[-2000:]
        said.update(line.split()[0] for line in out.decode().splitlines())
    return said


def test_a_hundred_at_once_are_one_run_on_a_folder(tmp_path: Path) -> None:
    make_bundle(tmp_path / "intake" / "a")
    (tmp_path / "intake" / "a.ready").touch()
    said = hundred(str(tmp_path / "intake"), str(tmp_path / "store"), tmp_path / "home", {})
    assert said["onboarded"] == 1
    assert sum(said.values()) == said["onboarded"] + said["known"] + said["busy"] == 100
    assert (tmp_path / "home" / "runs.log").read_text() == "a\n"


@only_when_asked(
    "takes a minute; a folder shows the same, and claims on S3 are tested by themselves"
)
@pytest.mark.slow
@pytest.mark.s3
def test_a_hundred_at_once_are_one_run_on_s3(ceph: Ceph, tmp_path: Path) -> None:
    bucket, drops = ceph.new_bucket(), ceph.new_bucket(lock=False)
    bundle = make_bundle(tmp_path / "a")
    client = ceph.client()
    for file in bundle.rglob("*"):
        if file.is_file():
            key = f"intake/a/{file.relative_to(bundle)}"
            client.put_object(Bucket=drops, Key=key, Body=file.read_bytes())
    late = (bundle / "bundle.yaml").read_bytes()
    client.put_object(Bucket=drops, Key="intake/late/bundle.yaml", Body=late)
    client.put_object(Bucket=drops, Key="intake/a.ready", Body=b"")
    place, store = f"s3://{drops}/intake", f"s3://{bucket}/drops"
    said = hundred(place, store, tmp_path / "home", ceph.environment)
    assert said["onboarded"] == 1
    assert said["waiting"] == 100  # the other drop has no data yet
    assert said["onboarded"] + said["known"] + said["busy"] == 100
    assert (tmp_path / "home" / "runs.log").read_text() == "a\n"
