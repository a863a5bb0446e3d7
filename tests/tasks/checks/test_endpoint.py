"""Checks on a model behind an address: what can run does, what cannot says why, nothing is robust
because nobody answered."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasks.catalog.reading import Catalog
from tasks.checks.running import run_check
from tasks.domain.bundle import Subject
from tasks.domain.finding import Finding, Outcome
from tasks.domain.measurement import Measurement, Status
from tasks.judging.gates import judge
from tasks.sandbox.protocol import Array
from tasks.targets.endpoint.addresses import reach_of
from tasks.targets.endpoint.broker import Terms
from tests.conformance.test_checks import small_spec
from tests.simulators.endpoint import Behaviour, Served, serving, v2
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import lab
from tests.tasks.targets.models import digits, trained

LABELS = ["evasion.decision_based", "extraction.fidelity", "privacy.membership"]
ASKED = ["evasion.linf_robust_accuracy", "extraction.fidelity", "privacy.membership"]


def reader(inputs: Array) -> Array:
    network = trained()
    with torch.no_grad():
        scores: Array = network(torch.from_numpy(inputs)).numpy()
    return scores


def names(inputs: Array) -> Array:
    labels: Array = reader(inputs).argmax(axis=1)
    return labels


def ran(
    check: str,
    behave: Behaviour,
    folder: Path,
    *,
    allow: str = "",
    kind: str = "logits",
    patience: float = 20,
    auth: Any = None,
    **more: Any,
) -> tuple[Measurement, Finding, MemoryStore]:
    store = MemoryStore()
    with serving(behave) as server:
        subject = behind(server.url, store, folder, kind=kind, timeout_seconds=patience, auth=auth)
        terms = Terms(reach=reach_of(allow or f"127.0.0.1:{server.port}"), **more)
        execution = run_check(
            small_spec(Catalog().check(check)),
            subject,
            store=store,
            sandbox=DirectSandbox(),
            scratch=folder / "scratch",
            terms=terms,
        )
    measurement = Measurement.parse(store.get(execution.measurement))
    return measurement, judge(Catalog().check(check), measurement), store


def behind(
    url: str,
    store: MemoryStore,
    folder: Path,
    *,
    kind: str = "logits",
    **endpoint: Any,
) -> Subject:
    trained()  # not while somebody waits for an answer
    test, train = digits().test, digits().train
    made = lab(
        "artifact.behaviour",
        folder,
        evaluation=(test.inputs[:240], test.labels[:240]),
        training=(train.inputs[:240], train.labels[:240]),
        classes=10,
        store=store,
        artifact=None,
        endpoint={"url": url, "batch": 256} | endpoint,
        output={"kind": kind, "classes": 10},
    )
    return made.subject


@pytest.mark.parametrize("check", ASKED)
def test_black_box_checks_run_on_scores(check: str, tmp_path: Path) -> None:
    measurement, _, store = ran(check, v2(reader), tmp_path)
    assert measurement.status is Status.MEASURED, measurement.detail
    assert measurement.cost.queries > 0
    assert not [name for name in store.named if name.startswith("measurements/")]


@pytest.mark.parametrize("check", LABELS)
def test_black_box_checks_run_on_labels(check: str, tmp_path: Path) -> None:
    measurement, _, _ = ran(check, v2(names), tmp_path, kind="labels")
    assert measurement.status is Status.MEASURED, measurement.detail


WITHOUT: dict[str, tuple[str, Status]] = {
    "gradients": ("backdoor.trigger_inversion", Status.NOT_AVAILABLE),
    "weights": ("artifact.weights", Status.NOT_APPLICABLE),
}


@pytest.mark.parametrize(("check", "status"), WITHOUT.values(), ids=WITHOUT.keys())
def test_what_cannot_be_asked_says_why(check: str, status: Status, tmp_path: Path) -> None:
    measurement, finding, _ = ran(check, v2(reader), tmp_path)
    assert measurement.status is status
    assert measurement.detail
    assert finding.outcome is not Outcome.PASS


def unsure(inputs: Array) -> Array:
    return np.full((len(inputs), 10), np.nan, np.float32)


def too_large(inputs: Array) -> Array:
    return np.full((len(inputs), 10), 1e300)


def silent(served: Served) -> None:
    served.server.stop.wait(5)


def until(count: int, good: Behaviour, bad: Behaviour) -> Behaviour:
    return lambda served: (good if served.server.asked <= count else bad)(served)


def garbage(served: Served) -> None:
    served.say(b"<html>")


def busy(served: Served) -> None:
    served.say(b"", 429, retry_after="3600")


TROUBLE: Mapping[str, Behaviour] = {
    "hangs": silent,
    "garbage": garbage,
    "not a number": v2(unsure),
    "infinite": v2(too_large),
    "labels instead of scores": v2(names),
    "garbage later": until(3, v2(reader), garbage),
    "limits the rate": busy,
    "limits the rate later": until(3, v2(reader), busy),
    "hangs later": until(3, v2(reader), silent),
}


@pytest.mark.parametrize("behave", TROUBLE.values(), ids=TROUBLE.keys())
@pytest.mark.parametrize("check", ["evasion.linf_robust_accuracy", "evasion.decision_based"])
def test_trouble_is_a_finding_and_never_robust(
    check: str, behave: Behaviour, tmp_path: Path
) -> None:
    _, finding, _ = ran(check, behave, tmp_path, patience=0.3, seconds=3.0)
    assert finding.outcome in {Outcome.ERROR, Outcome.NOT_AVAILABLE}
    assert finding.estimate is None


@pytest.mark.parametrize(
    "trouble", ["hangs", "garbage", "not a number", "labels instead of scores"]
)
def test_the_gatekeeper_refuses_a_model_that_does_not_answer(trouble: str, tmp_path: Path) -> None:
    measurement, finding, _ = ran("artifact.behaviour", TROUBLE[trouble], tmp_path, patience=0.3)
    assert finding.outcome is Outcome.FAIL
    assert measurement.facts["refused"]


def test_an_endpoint_that_was_not_allowed_is_not_the_vendors_fault(tmp_path: Path) -> None:
    measurement, _, _ = ran("artifact.behaviour", v2(reader), tmp_path, allow="models.example")
    assert measurement.status is Status.NOT_AVAILABLE
    assert "PROOFHOUSE_ENDPOINTS__ALLOW=" in measurement.detail


def test_a_missing_secret_is_not_the_vendors_fault(tmp_path: Path) -> None:
    auth = {"env": "PROOFHOUSE_ENDPOINT_NOBODY_SET_THIS"}
    measurement, _, _ = ran("artifact.behaviour", v2(reader), tmp_path, auth=auth)
    assert measurement.status is Status.NOT_AVAILABLE
    assert "PROOFHOUSE_ENDPOINT_NOBODY_SET_THIS" in measurement.detail


@pytest.mark.parametrize("check", ["extraction.fidelity", "evasion.linf_robust_accuracy"])
def test_a_spent_budget_is_no_answer(check: str, tmp_path: Path) -> None:
    measurement, finding, _ = ran(check, v2(reader), tmp_path, queries=100)
    assert finding.outcome is Outcome.NOT_AVAILABLE
    assert measurement.status is Status.NOT_AVAILABLE
    assert "PROOFHOUSE_ENDPOINTS__QUERIES" in measurement.detail


def test_files_beside_an_endpoint_are_scanned_and_forbid_nothing(tmp_path: Path) -> None:
    store = MemoryStore()
    subject = behind("https://models.example/x", store, tmp_path)
    made = lab("artifact.scan", tmp_path, files={"notes.txt": b"hello"}, store=store)
    subject = subject.model_copy(update={"files": made.subject.files})
    execution = run_check(
        small_spec(Catalog().check("artifact.scan")),
        subject,
        store=store,
        sandbox=DirectSandbox(),
        scratch=tmp_path / "scratch",
    )
    facts = Measurement.parse(store.get(execution.measurement)).facts
    assert facts["refused"] is None
    assert facts["files"] == 1
