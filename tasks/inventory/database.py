"""The inventory: which assets there are, who answers for them, and what every run said.

It is a view for people and reports. The truth is the sealed evidence; everything here can be
recorded again from it, any number of times and in any order.
"""

from collections.abc import Sequence

from sqlalchemy import column, delete, select, table
from sqlalchemy.orm import Session

from tasks.domain.digest import Digest, digest_of
from tasks.domain.errors import InventoryError
from tasks.domain.finding import Finding, Verdict
from tasks.domain.run import RunRecord
from tasks.domain.spec import ASSESSMENT, DRIFT
from tasks.inventory.rows import ApprovalRow, Asset, Run, RunFinding, State, VerdictChange
from tasks.inventory.sessions import Database
from tasks.inventory.tables import ApprovalTable, AssetTable, BundleTable, FindingTable, RunTable

APPROVING = {Verdict.ACCEPTED, Verdict.ACCEPTED_WITH_CONDITIONS}
_CHANGES = table("verdict_changes", *(column(name) for name in VerdictChange.model_fields))
_BY_LEDGER = (RunTable.ledger_index.desc(), RunTable.run.desc())


class Inventory(Database):
    """Assets, runs and findings in one database."""

    def record_run(self, record: RunRecord, *, statement: Digest, ledger_index: int) -> None:
        """Records a sealed run, its findings, its bundle and its asset; again if need be."""
        with self._writing() as session:
            asset = self._claimed_asset(session, record)
            self._insert_new(
                session,
                BundleTable,
                digest=record.subject,
                asset=record.asset,
                first_run_started=record.started,
            )
            session.merge(RunTable(**_run_of(record, statement, ledger_index).model_dump()))
            session.flush()
            session.execute(delete(FindingTable).where(FindingTable.run == record.run))
            session.add_all(
                FindingTable(**_finding_of(record.run, position, finding).model_dump(mode="json"))
                for position, finding in enumerate(record.findings)
            )
            session.flush()
            _follow_latest_run(session, asset)

    def register_asset(self, asset: Asset) -> None:
        """Adds an asset, or adds what is known to one: empty text never erases."""
        known = asset.model_dump(exclude={"state"})
        with self._writing() as session:
            self._insert_new(session, AssetTable, **asset.model_dump())
            row = _locked_asset(session, asset.asset)
            for name, value in known.items():
                if value:
                    setattr(row, name, value)

    def set_owner(self, asset: str, owner: str) -> None:
        """Names who answers for an asset."""
        with self._writing() as session:
            _locked_asset(session, asset).owner = owner

    def set_state(self, asset: str, state: State) -> None:
        """Moves an asset, for example to ``live`` or ``retired``."""
        with self._writing() as session:
            _locked_asset(session, asset).state = state

    def assets(self) -> tuple[Asset, ...]:
        """Returns all assets by id."""
        return self._all(Asset, select(AssetTable).order_by(AssetTable.asset))

    def asset(self, asset: str) -> Asset | None:
        """Returns one asset, or None."""
        found = self._all(Asset, select(AssetTable).where(AssetTable.asset == asset))
        return found[0] if found else None

    def runs(self, asset: str | None = None) -> tuple[Run, ...]:
        """Returns runs, of one asset when it is named, the latest first."""
        query = select(RunTable).order_by(*_BY_LEDGER)
        return self._all(Run, query if asset is None else query.where(RunTable.asset == asset))

    def run(self, run: str) -> Run | None:
        """Returns one run, or None."""
        found = self._all(Run, select(RunTable).where(RunTable.run == run))
        return found[0] if found else None

    def latest_run(self, asset: str) -> Run | None:
        """Returns the run of an asset that the ledger lists last, or None."""
        query = select(RunTable).where(RunTable.asset == asset).order_by(*_BY_LEDGER).limit(1)
        found = self._all(Run, query)
        return found[0] if found else None

    def accepted_versions(self, asset: str) -> tuple[Run, ...]:
        """Returns, for each other version of an asset, its last whole run if that accepted it.

        The latest comes first. Assessments and comparisons of tables accept nothing.
        """
        family = asset.rpartition("@")[0]
        query = select(RunTable).where(
            RunTable.asset.startswith(f"{family}@", autoescape=True),
            RunTable.asset != asset,
            RunTable.occasion.not_in([ASSESSMENT, DRIFT]),
        )
        last: dict[str, Run] = {}
        for run in self._all(Run, query.order_by(*_BY_LEDGER)):
            if run.asset.rpartition("@")[0] == family and not run.occasion.startswith(ASSESSMENT):
                last.setdefault(run.asset, run)
        approving = {verdict.value for verdict in APPROVING}
        return tuple(run for run in last.values() if run.verdict in approving)

    def findings(self, run: str) -> tuple[RunFinding, ...]:
        """Returns the findings of a run in the order of its record."""
        query = select(FindingTable).where(FindingTable.run == run)
        return self._all(RunFinding, query.order_by(FindingTable.position))

    def record_approval(self, approval: ApprovalRow) -> None:
        """Records a logged approval; again if need be."""
        with self._writing() as session:
            session.merge(ApprovalTable(**approval.model_dump()))

    def approvals(self, asset: str | None = None) -> tuple[ApprovalRow, ...]:
        """Returns approvals, of one asset when it is named, the latest first."""
        query = select(ApprovalTable).order_by(ApprovalTable.ledger_index.desc())
        if asset is not None:
            query = query.where(ApprovalTable.asset == asset)
        return self._all(ApprovalRow, query)

    def verdict_changes(self, asset: str | None = None) -> tuple[VerdictChange, ...]:
        """Returns the runs that changed an asset's verdict, the latest first."""
        query = select(_CHANGES).order_by(_CHANGES.c.ledger_index.desc(), _CHANGES.c.run.desc())
        if asset is not None:
            query = query.where(_CHANGES.c.asset == asset)
        with self._reading() as session:
            return tuple(
                VerdictChange.model_validate(dict(row)) for row in session.execute(query).mappings()
            )

    def _claimed_asset(self, session: Session, record: RunRecord) -> AssetTable:
        """Makes sure that the asset is there, and that nobody else changes it until we are done."""
        self._insert_new(session, AssetTable, **Asset.of_id(record.asset).model_dump())
        return _locked_asset(session, record.asset)


def _locked_asset(session: Session, asset: str) -> AssetTable:
    query = select(AssetTable).where(AssetTable.asset == asset).with_for_update()
    row = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if row is None:
        raise InventoryError(f"{asset[:200]!r} is not in the inventory: onboard or register it")
    return row


def _follow_latest_run(session: Session, asset: AssetTable) -> None:
    """Sets tier, and state unless people did, by the run that the ledger lists last.

    Assessments ask a part of the questions, so they let nothing in.
    """
    whole = RunTable.asset == asset.asset, RunTable.occasion != ASSESSMENT
    query = select(RunTable).where(*whole).order_by(*_BY_LEDGER).limit(1)
    latest = session.scalars(query).one_or_none()
    if latest is None:
        return
    asset.tier = latest.tier
    if asset.state in {"quarantined", "approved"}:
        asset.state = "approved" if latest.verdict in APPROVING else "quarantined"


def _run_of(record: RunRecord, statement: Digest, ledger_index: int) -> Run:
    reports: Sequence[str] = [entry.digest for entry in record.objects if entry.role == "report"]
    return Run(
        run=record.run,
        asset=record.asset,
        bundle=record.subject,
        plan=digest_of(record.plan.canonical()),
        tier=record.tier,
        battery=record.plan.battery,
        policy=record.plan.policy,
        occasion=record.plan.occasion,
        attempt=record.plan.attempt,
        state="sealed",
        verdict=record.decision.verdict.value,
        started=record.started,
        sealed=record.sealed,
        statement=statement,
        ledger_index=ledger_index,
        report=reports[0] if reports else "",
    )


def _finding_of(run: str, position: int, finding: Finding) -> RunFinding:
    estimate = finding.estimate
    return RunFinding(
        run=run,
        position=position,
        check=finding.check,
        outcome=finding.outcome.value,
        severity=finding.severity.value,
        question=finding.question,
        value=estimate.value if estimate else None,
        low=estimate.low if estimate else None,
        high=estimate.high if estimate else None,
        confidence=estimate.confidence if estimate else None,
        n=estimate.n if estimate else None,
        threshold=finding.threshold,
        detail=finding.detail,
        remediation=finding.remediation,
        evidence=finding.evidence,
    )
