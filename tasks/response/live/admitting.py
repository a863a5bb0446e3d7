"""Assesses what a drill serves or is handed, in the drill's own home, by the checks themselves."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tasks.catalog.reading import entry_digest, shared_catalog
from tasks.catalog.resolving import plan_checks
from tasks.checks.running import run_check
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.execution import Execution
from tasks.domain.measurement import Measurement
from tasks.domain.moments import rfc3339
from tasks.domain.run import Reference, RunRecord
from tasks.domain.spec import ASSESSMENT, RunPlan
from tasks.inventory.database import Inventory
from tasks.judging.concluding import conclude
from tasks.ledger.keys import open_signer
from tasks.ledger.seal import seal_run
from tasks.registry.place import RegistryPlace
from tasks.sandbox.protocol import Sandbox
from tasks.store.protocol import ObjectStore

TIER = "low"


class Assessor(NamedTuple):
    """What it takes to ask checks in a drill's home."""

    place: RegistryPlace
    sandbox: Sandbox
    code: Digest
    """Of the sources that run; part of every plan."""
    seed: int = 0

    def assess(self, subject: Subject, battery: str) -> RunRecord:
        """Asks a battery about a subject, judges by the lowest tier's policy, seals and records.

        Raises:
            ProofhouseError: The catalog, the store or the ledger says no.
        """
        started = datetime.now(UTC)
        store = self.place.store
        plan = self._plan(subject, store.put(subject.canonical()).digest, battery)
        executions = [
            run_check(spec, subject, store=store, sandbox=self.sandbox, scratch=self._scratch)
            for spec in plan.checks
        ]
        findings, decision = conclude(plan, executions, store, shared_catalog())
        record = RunRecord(
            run=plan.run,
            asset=plan.asset,
            tier=plan.tier,
            subject=plan.bundle,
            plan=plan,
            findings=findings,
            decision=decision,
            executions=tuple(executions),
            objects=_objects(subject, plan, executions, store),
            sandbox={"level": self.sandbox.level},
            started=rfc3339(started),
            sealed=rfc3339(datetime.now(UTC)),
        )
        self._seal(record, subject)
        return record

    @property
    def _scratch(self) -> Path:
        return self.place.home / "scratch"

    def _plan(self, subject: Subject, digest: Digest, battery: str) -> RunPlan:
        catalog = shared_catalog()
        chosen = catalog.battery(battery)
        policy = catalog.policy_for(TIER, subject.spec.model.kind)
        return RunPlan(
            bundle=digest,
            asset=subject.spec.asset,
            tier=TIER,
            battery=chosen.id,
            battery_digest=entry_digest(chosen),
            policy=policy.id,
            policy_digest=entry_digest(policy),
            occasion=ASSESSMENT,
            checks=plan_checks(
                catalog, chosen.id, subject, code=self.code, sandbox=self.sandbox.level,
                seed=self.seed,
            ),
        )  # fmt: skip

    def _seal(self, record: RunRecord, subject: Subject) -> None:
        place = self.place
        sealed = seal_run(
            record,
            store=place.store,
            signer=open_signer(None, home=place.home),
            files=subject.files,
            trust=place.trust,
            witness=place.witness,
        )
        Inventory(place.database).record_run(
            record, statement=sealed.statement, ledger_index=sealed.ledger_index
        )


def _objects(
    subject: Subject, plan: RunPlan, executions: Sequence[Execution], store: ObjectStore
) -> tuple[Reference, ...]:
    named: dict[str, Digest] = {"subject": plan.bundle}
    named |= {f"file:{file.path}": file.digest for file in subject.files}
    named |= {f"data:{data.role}": data.digest for data in subject.datasets if data.digest}
    for execution in executions:
        named[f"measurement:{execution.check}"] = execution.measurement
        for artifact in Measurement.parse(store.get(execution.measurement)).artifacts:
            named[f"artifact:{execution.check}:{artifact.name}"] = artifact.digest
    return tuple(
        Reference(role=role, digest=digest, size_bytes=len(store.get(digest)))
        for role, digest in named.items()
    )
