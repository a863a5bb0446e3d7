"""Homes whose assets were onboarded as the real plan asks, without the hours of measuring."""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.catalog.reading import shared_catalog
from tasks.catalog.schema import CheckEntry, IntervalGate
from tasks.checks.running import keep_measurement
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.estimate import Estimate
from tasks.domain.execution import Execution
from tasks.domain.measurement import Measurement, Status
from tasks.domain.run import RunRecord
from tasks.domain.spec import RunPlan
from tasks.intake.stage import outside_of
from tasks.intake.subject import read_again
from tasks.inventory.database import Inventory
from tasks.inventory.rows import State
from tasks.ledger.keys import open_signer, trusted_keys
from tasks.ledger.seal import seal_run
from tasks.ledger.trust import Trust
from tasks.onboarding import judge_run, make_record, plan_onboarding
from tasks.runtime import Services
from tasks.store.protocol import ObjectStore
from tests.simulators.subjects import linear_subject, linear_weights

Measure = Callable[[CheckEntry], Measurement]


def passing(entry: CheckEntry) -> Measurement:
    """A measurement far on the good side of the check's gate."""
    return measured(entry, good=True)


def measured(entry: CheckEntry, *, good: bool, n: int = 400) -> Measurement:
    """A measurement whose every bound is clear of the gate, on one side of it."""
    gate = entry.gate
    estimates: dict[str, Estimate] = {}
    if isinstance(gate, IntervalGate):
        value = 0.99 if good == (gate.good == "above") else 0.0
        estimates[gate.estimate] = Estimate(value=value, low=value, high=value + 1e-6, n=n)
    return Measurement(
        check=entry.id,
        version=entry.version,
        status=Status.MEASURED,
        detail="measured",
        estimates=estimates,
    )


class House(NamedTuple):
    """Services of a home, to onboard into and to look at."""

    here: Services

    @property
    def store(self) -> ObjectStore:
        return self.here.store

    @property
    def home(self) -> Path:
        return self.here.settings.home.resolve()

    @property
    def trust(self) -> Trust:
        return trusted_keys(self.home)

    @property
    def inventory(self) -> Inventory:
        return Inventory(self.here.settings.database_url)

    def subject(
        self, version: str, vendor: str = "Acme", url: str | None = None, requirements: str = ""
    ) -> Digest:
        """Stores the subject of a small linear model with bytes of its own."""
        seed = int.from_bytes(version.encode(), "big") % 10_000
        scale = float(np.float32(1 + seed / 10_000))
        document = linear_subject(self.store, weights=linear_weights(scale)).model_dump(mode="json")
        document["spec"]["model"]["version"] = version
        document["spec"]["vendor"]["name"] = vendor
        if url is not None:
            endpoint = {"artifact": None, "architecture": None, "endpoint": {"url": url}}
            document["spec"]["model"] |= endpoint
        if requirements:
            ref = self.store.put(requirements.encode())
            listed = {"path": "requirements.txt", "digest": ref.digest}
            document["files"].append(listed | {"size_bytes": len(requirements)})
        bare = Subject.model_validate(document)
        with tempfile.TemporaryDirectory() as scratch:
            read = read_again(bare, outside_of(self.here), self.store, Path(scratch))
        return self.store.put(read.canonical()).digest

    def onboard(
        self,
        version: str = "1",
        *,
        battery: str | None = None,
        measure: Measure = passing,
        state: State | None = "live",
        subject: Digest | None = None,
        vendor: str = "Acme",
    ) -> RunRecord:
        """Seals an onboarding run about a version and puts the asset live."""
        about = subject or self.subject(version, vendor)
        plan = plan_onboarding(about, battery=battery, tier=None).plan
        record = self.seal(plan, measure)
        if state is not None:
            self.inventory.set_state(record.asset, state)
        return record

    def seal(self, plan: RunPlan, measure: Measure = passing) -> RunRecord:
        """Measures, judges, seals and records a plan."""
        executions = [
            Execution(
                check=spec.check,
                spec=spec.digest,
                measurement=keep_measurement(
                    spec, measure(shared_catalog().check(spec.check)), self.store
                ),
                seconds=0.0,
                reused=False,
                sandbox=spec.sandbox,
            )
            for spec in plan.checks
        ]
        findings, decision = judge_run(plan, executions)
        report = self.store.put(b"<html></html>").digest
        started = self.here_now()
        record = make_record(plan, executions, findings, decision, started=started, report=report)
        sealed = seal_run(
            record,
            store=self.store,
            signer=open_signer(None, home=self.home),
            files=Subject.parse(self.store.get(record.subject)).files,
            trust=self.trust,
        )
        self.inventory.record_run(
            record, statement=sealed.statement, ledger_index=sealed.ledger_index
        )
        return record

    @staticmethod
    def here_now() -> datetime:
        return datetime.now(UTC)
