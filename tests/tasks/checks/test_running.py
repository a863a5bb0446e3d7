import errno
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tasks.catalog.reading import Catalog
from tasks.catalog.resolving import resolve_parameters
from tasks.checks import running
from tasks.checks.lab import Lab, NotApplicable, NotAvailable
from tasks.checks.running import run_check
from tasks.domain.digest import digest_of
from tasks.domain.errors import ChildDiedError, StoreError, StoreNotAnsweringError
from tasks.domain.execution import Execution
from tasks.domain.measurement import Measurement, Status
from tasks.domain.spec import CheckSpec
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore
from tests.simulators.subjects import linear_subject

CHECK = "artifact.behaviour"


def spec(**changes: Any) -> CheckSpec:
    fields = {
        "check": CHECK,
        "version": 1,
        "parameters": resolve_parameters(Catalog().check(CHECK), {}),
        "inputs": {"subject": digest_of(b"subject")},
        "code": digest_of(b"code"),
        "sandbox": "L3",
    }
    return CheckSpec.model_validate(fields | changes)


def run(store: MemoryStore, tmp_path: Path, **more: Any) -> tuple[Execution, Measurement]:
    execution = run_check(
        more.pop("spec", spec()),
        linear_subject(store),
        store=store,
        sandbox=DirectSandbox(),
        scratch=tmp_path,
        **more,
    )
    return execution, Measurement.parse(store.get(execution.measurement))


def test_a_spec_is_measured_once(tmp_path: Path) -> None:
    store = MemoryStore()
    first, measurement = run(store, tmp_path)
    second, again = run(store, tmp_path)
    assert measurement.status is Status.MEASURED
    assert (first.reused, second.reused) == (False, True)
    assert again == measurement


@pytest.mark.parametrize("where", ["before it", "while it works"])
def test_a_full_scratch_is_no_finding(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Measurement:
        raise OSError(errno.ENOSPC, "No space left on device", "scratch/check-1")

    if where == "before it":
        monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    else:
        monkeypatch.setattr(running, "check_function", lambda _: full)
    store = MemoryStore()
    with pytest.raises(StoreError, match=r"no room for its work .scratch/check-1: No space left"):
        run(store, tmp_path)
    assert list(store.claims("measurements/")) == []


def test_a_lost_measurement_is_made_again_with_the_same_bytes(tmp_path: Path) -> None:
    store = MemoryStore()
    first, _ = run(store, tmp_path)
    del store.objects[first.measurement]
    second, _ = run(store, tmp_path)
    assert not second.reused
    assert second.measurement == first.measurement


@pytest.mark.parametrize(
    ("raised", "status", "words"),
    [
        (NotAvailable("no data came"), Status.NOT_AVAILABLE, "no data came"),
        (NotApplicable("a chat model"), Status.NOT_APPLICABLE, "a chat model"),
        (ChildDiedError("signal 9"), Status.ERROR, "sandbox.child_died: signal 9"),
        (ZeroDivisionError("zero"), Status.ERROR, "ZeroDivisionError: zero"),
    ],
)
def test_every_way_of_breaking_becomes_a_measurement(
    raised: Exception, status: Status, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(lab: Lab) -> Measurement:
        raise raised

    monkeypatch.setattr(running, "check_function", lambda _: broken)
    store = MemoryStore()
    _, measurement = run(store, tmp_path)
    assert measurement.status is status
    assert words in measurement.detail


def test_an_error_is_not_remembered_as_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    with monkeypatch.context() as patched:
        patched.setattr(running, "check_function", lambda _: 1 / 0)
        _, broken = run(store, tmp_path)
    execution, measurement = run(store, tmp_path)
    assert broken.status is Status.ERROR
    assert not execution.reused
    assert measurement.status is Status.MEASURED


def test_a_blocked_model_is_not_opened(tmp_path: Path) -> None:
    _, measurement = run(MemoryStore(), tmp_path, blocked="the scan refused it")
    assert measurement.status is Status.NOT_AVAILABLE
    assert measurement.detail == "the scan refused it"


def test_a_failing_store_stops_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(lab: Lab) -> Measurement:
        raise StoreNotAnsweringError("no answer in 60 s")

    monkeypatch.setattr(running, "check_function", lambda _: broken)
    with pytest.raises(StoreNotAnsweringError):
        run(MemoryStore(), tmp_path)


def test_scratch_is_left_empty(tmp_path: Path) -> None:
    run(MemoryStore(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_check_has_a_clear_error() -> None:
    with pytest.raises(ValueError, match=r"no module for check family\.nothing"):
        running.check_function("family.nothing")


def test_what_the_model_tried_while_measured_raises_an_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(MemoryStore(), tmp_path)[1].alarms == ()
    monkeypatch.setattr(Lab, "attempts", property(lambda _: {"socket": 2}))
    _, measurement = run(MemoryStore(), tmp_path)
    (alarm,) = measurement.alarms
    assert "socket (2)" in alarm
