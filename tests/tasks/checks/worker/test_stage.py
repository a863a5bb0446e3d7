"""Parts of a check on other workers: the same bytes as from one, however many there are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster, get_worker

from tasks.catalog.reading import Catalog
from tasks.catalog.resolving import resolve_parameters
from tasks.checks import lab as lab_module
from tasks.checks import running
from tasks.checks.worker import stage
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest, digest_of
from tasks.domain.measurement import Measurement
from tasks.domain.spec import CheckSpec
from tasks.runtime import Services
from tasks.sandbox.protocol import Limits
from tasks.settings import read_settings
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore
from tests.tasks.targets.models import description, digits, lab_for, trained, write_model

CHECK = "evasion.linf_robust_accuracy"
UNSETTLED = {
    "epsilon": 0.1, "points": 110, "steps": 10, "square_queries": 20, "settle_at": 0.5,
}  # fmt: skip


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setenv("PROOFHOUSE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(lab_module, "WORTH_A_CHILD", 0.0)
    here = Services(read_settings(), MemoryStore(), DirectSandbox(), Limits())
    monkeypatch.setattr(stage, "services", lambda: here)
    return here


@pytest.fixture
def cluster() -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
        ) as local,
        Client(local) as client,
    ):
        yield client


def asked(folder: Path, store: Any) -> tuple[dict[str, Any], str]:
    """Stores a subject; returns spec and subject as they travel to a worker."""
    write_model(folder, trained(adversarial_epsilon=0.1))
    made = lab_for(folder, CHECK, model=description(), evaluation=digits().test)
    store.objects.update(made._store.objects)  # type: ignore[attr-defined]  # a simulator
    entry = Catalog().check(CHECK)
    spec = CheckSpec(
        check=CHECK,
        version=entry.version,
        parameters=resolve_parameters(entry, UNSETTLED),
        seed=3,
        inputs={"subject": digest_of(b"subject")},
        code=digest_of(b"code"),
        sandbox="L3",
    )
    return spec.model_dump(mode="json"), store.put(made.subject.canonical()).digest


def measured(execution: dict[str, Any], services: Services) -> bytes:
    data: bytes = services.store.get(Digest(execution["measurement"]))
    return data


def test_two_workers_give_the_bytes_of_one(
    tmp_path: Path, services: Services, cluster: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, subject = asked(tmp_path, services.store)
    alone = measured(stage.run_here(spec, subject, ""), services)
    services.store.named.clear()  # type: ignore[attr-defined]  # nothing is known any more
    parts: list[tuple[int, str]] = []
    run_part = running.run_part

    def watched(spec: CheckSpec, subject: Subject, index: int, **more: Any) -> Digest:
        parts.append((index, get_worker().name))
        return run_part(spec, subject, index, **more)

    monkeypatch.setattr(stage, "run_part", watched)
    together = cluster.submit(stage.run_here, spec, subject, "", pure=False).result()
    assert sorted(index for index, _ in parts) == [1, 2]
    assert measured(together, services) == alone


def test_a_part_that_breaks_breaks_the_check_and_not_the_run(
    tmp_path: Path, services: Services, cluster: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Digest:
        raise RuntimeError("no room")

    monkeypatch.setattr(stage, "run_part", broken)
    spec, subject = asked(tmp_path, services.store)
    execution = cluster.submit(stage.run_here, spec, subject, "", pure=False).result()
    found = Measurement.parse(measured(execution, services))
    assert found.status == "error"
    assert "no room" in found.detail


def test_outside_a_worker_nothing_is_spread() -> None:
    assert stage.spread_over_workers({}, "") is None
