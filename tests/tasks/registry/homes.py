"""Homes with sealed runs of small real models, as onboarding leaves them."""

from pathlib import Path
from typing import Any, NamedTuple

from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest, digest_of
from tasks.domain.finding import Decision, Verdict
from tasks.domain.run import Reference, RunRecord
from tasks.domain.spec import RunPlan
from tasks.inventory.database import Inventory
from tasks.ledger.keys import open_signer, trusted_keys
from tasks.ledger.seal import seal_run
from tasks.registry.place import RegistryPlace
from tasks.store.local import LocalStore
from tests.simulators.subjects import linear_subject, linear_weights

MODEL = "Acme/reader"


class Home(NamedTuple):
    """A home, and its registry."""

    registry: RegistryPlace

    @property
    def path(self) -> Path:
        return self.registry.home

    @property
    def store(self) -> LocalStore:
        assert isinstance(self.registry.store, LocalStore)
        return self.registry.store

    def seal(
        self,
        version: str = "1",
        verdict: Verdict = Verdict.ACCEPTED,
        *,
        occasion: str = "onboarding",
        subject: Subject | None = None,
    ) -> RunRecord:
        """Seals a run about a version and records it in the inventory."""
        record = record_of(self.store, subject or self.subject(version), verdict, occasion)
        sealed = seal_run(
            record,
            store=self.store,
            signer=open_signer(None, home=self.path),
            files=Subject.parse(self.store.get(record.subject)).files,
            trust=trusted_keys(self.path),
        )
        Inventory(self.registry.database).record_run(
            record, statement=sealed.statement, ledger_index=sealed.ledger_index
        )
        return record

    def subject(self, version: str = "1", **model: Any) -> Subject:
        """A linear model; every version has weights of its own."""
        scale = 1.0 + int.from_bytes(digest_of(version.encode()).encode()[-2:], "big") / 1000
        made = linear_subject(self.store, weights=linear_weights(scale))
        document = made.model_dump(mode="json")
        document["spec"]["model"] |= {"version": version, **model}
        return Subject.model_validate(document)


def new_home(folder: Path) -> Home:
    home = folder / "home"
    home.mkdir()
    registry = RegistryPlace(
        store=LocalStore(home / "store"),
        home=home.resolve(),
        database=f"sqlite:///{home / 'inventory.sqlite'}",
    )
    return Home(registry)


def record_of(store: LocalStore, subject: Subject, verdict: Verdict, occasion: str) -> RunRecord:
    ref = store.put(subject.canonical())
    report = store.put(b"<html>report</html>")
    plan = RunPlan(
        bundle=ref.digest,
        asset=subject.spec.asset,
        tier="medium",
        battery="onboarding.quick",
        battery_digest=digest_of(b"battery"),
        policy="tier.medium",
        policy_digest=digest_of(b"policy"),
        occasion=occasion,
        checks=(),
    )
    roles: dict[str, tuple[Digest, int]] = {
        "subject": (ref.digest, ref.size_bytes),
        "report": (report.digest, report.size_bytes),
    }
    roles |= {
        f"data:{data.role}": (data.digest, len(store.get(data.digest)))
        for data in subject.datasets
        if data.digest
    }
    roles |= {f"file:{file.path}": (file.digest, file.size_bytes) for file in subject.files}
    return RunRecord(
        run=plan.run,
        asset=plan.asset,
        tier=plan.tier,
        subject=plan.bundle,
        plan=plan,
        findings=(),
        decision=Decision(verdict=verdict, reasons=("because",)),
        executions=(),
        objects=tuple(
            Reference(role=role, digest=digest, size_bytes=size)
            for role, (digest, size) in roles.items()
        ),
        started="2026-01-02T03:04:05Z",
        sealed="2026-01-02T03:05:05Z",
    )
