"""Small sealed runs for the ledger's tests: real objects, real records, a real key."""

from pathlib import Path
from typing import NamedTuple

from securesystemslib.signer import CryptoSigner, Signer

from tasks.domain.bundle import BundleSpec, FileEntry, Subject
from tasks.domain.digest import Digest, digest_of
from tasks.domain.estimate import Estimate
from tasks.domain.execution import Execution
from tasks.domain.finding import Decision, Finding, Outcome, Verdict
from tasks.domain.run import Reference, RunRecord
from tasks.domain.severity import Severity
from tasks.domain.spec import RunPlan
from tasks.ledger.seal import Sealed, seal_run
from tasks.ledger.trust import Trust
from tasks.store.local import LocalStore
from tasks.store.protocol import ObjectStore

SEED = bytes(range(32))


class Case(NamedTuple):
    """A record and the files of its bundle, all objects stored."""

    record: RunRecord
    files: tuple[FileEntry, ...]


def new_signer() -> CryptoSigner:
    return CryptoSigner.generate_ed25519()


def trusting(*signers: Signer) -> Trust:
    return Trust([signer.public_key for signer in signers])


def local_store(folder: Path) -> LocalStore:
    return LocalStore(folder)


def make_case(store: ObjectStore, number: int = 0, *, sealed: str = "") -> Case:
    """Stores the objects of a small run and returns its record."""
    files = _files(store, number)
    subject = Subject(spec=_spec(), files=files)
    bundle = store.put(subject.canonical())
    measurement = store.put(b"measurement %d" % number)
    report = store.put(b"<html>report %d</html>" % number)
    plan = _plan(bundle.digest, number)
    roles = {"subject": bundle, "report": report, "measurement:data.duplicates": measurement}
    objects = [
        Reference(role=role, digest=ref.digest, size_bytes=ref.size_bytes, version=ref.version)
        for role, ref in roles.items()
    ] + [
        Reference(role=f"file:{file.path}", digest=file.digest, size_bytes=file.size_bytes)
        for file in files
    ]
    return Case(_record(plan, measurement.digest, tuple(objects), sealed), files)


def seal_case(store: ObjectStore, signer: Signer, number: int = 0) -> tuple[Case, Sealed]:
    case = make_case(store, number)
    return case, seal_run(case.record, store=store, signer=signer, files=case.files)


def _record(
    plan: RunPlan, measurement: Digest, objects: tuple[Reference, ...], sealed: str
) -> RunRecord:
    finding = Finding(
        check="data.duplicates",
        outcome=Outcome.PASS,
        severity=Severity.INFO,
        question="Are rows repeated?",
        estimate=Estimate(value=0.01, low=0.0, high=0.04, n=90),
        threshold=0.05,
        evidence=(measurement,),
        detail="1 % of rows",
    )
    execution = Execution(
        check="data.duplicates",
        spec=digest_of(b"spec"),
        measurement=measurement,
        seconds=0.5,
        reused=False,
        sandbox="L2",
    )
    return RunRecord(
        run=plan.run,
        asset=plan.asset,
        tier=plan.tier,
        subject=plan.bundle,
        plan=plan,
        findings=(finding,),
        decision=Decision(verdict=Verdict.ACCEPTED, reasons=("all checks pass",)),
        executions=(execution,),
        objects=objects,
        sandbox={"level": "L2"},
        started="2026-01-02T03:04:05Z",
        sealed=sealed or "2026-01-02T03:05:05Z",
    )


def _files(store: ObjectStore, number: int) -> tuple[FileEntry, ...]:
    content = {
        "bundle.yaml": b"schema: proofhouse.bundle/1",
        "model/a.onnx": b"weights %d" % number,
    }
    return tuple(
        FileEntry(path=path, digest=store.put(data).digest, size_bytes=len(data))
        for path, data in content.items()
    )


def _spec() -> BundleSpec:
    return BundleSpec.model_validate(
        {
            "schema": "proofhouse.bundle/1",
            "vendor": {"name": "Acme", "contact": "security@acme.example"},
            "model": {
                "name": "digit-reader",
                "version": "1.0.0",
                "task": "regression",
                "artifact": "model/a.onnx",
            },
        }
    )


def _plan(bundle: Digest, number: int) -> RunPlan:
    return RunPlan(
        bundle=bundle,
        asset=f"Acme/digit-reader@1.0.{number}",
        tier="low",
        battery="batteries.low",
        battery_digest=digest_of(b"battery"),
        policy="policies.low",
        policy_digest=digest_of(b"policy"),
        checks=(),
    )
