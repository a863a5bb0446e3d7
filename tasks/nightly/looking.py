"""Looks at live assets: which ask for nothing, which must be measured again, and why.

An asset is unchanged when tonight's plan would be the plan of its last sealed evidence: same bytes,
papers that read the same by today's keys, advisories and register, same checks by version and code,
same battery, policy, approvals. Then its sealed measurements hold and nothing is measured. The
evidence is verified each time: signature, statement, place in the log.
"""

import logging
import math
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tasks.approving import Granted, grants_of
from tasks.catalog.reading import shared_catalog
from tasks.catalog.schema import IntervalGate
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.errors import EvidenceError, ProofhouseError, StoreError
from tasks.domain.finding import Outcome
from tasks.domain.frozen import Frozen
from tasks.domain.night import AssetNight, Spending
from tasks.domain.run import RunRecord
from tasks.domain.spec import ASSESSMENT, NIGHTLY, RunPlan
from tasks.domain.vendor import BARRED, vendor_key
from tasks.intake.stage import outside_of
from tasks.intake.subject import Outside, read_again
from tasks.inventory.database import Inventory
from tasks.inventory.rows import Asset
from tasks.inventory.vendors import VendorRegister
from tasks.ledger.approvals import Held, held_approvals
from tasks.ledger.entry import RUNS, Entry, leaf_name, read_sealed
from tasks.ledger.envelope import Moment, verify_envelope
from tasks.ledger.keys import open_signer, trusted_keys
from tasks.ledger.statement import PAYLOAD_TYPE, moment_of, read_statement
from tasks.ledger.trust import Trust
from tasks.ledger.view import read_capped, scratch_folder
from tasks.nightly.deltas import changes, paper_reasons, reasons, tells_the_same
from tasks.onboarding import DECLINED, has_errors, next_attempt, plan_onboarding
from tasks.reviewing import read_data_again
from tasks.runtime import Services
from tasks.statistics.wealth import spend

_MEASURED = frozenset({Outcome.PASS, Outcome.FAIL, Outcome.UNDECIDED})


class Look(Frozen):
    """What one look at an asset found: its row, or the plan that must be run for it first."""

    row: AssetNight
    plan: RunPlan | None = None


class Watch(NamedTuple):
    """What looking needs, read once for many assets."""

    here: Services
    trust: Trust
    inventory: Inventory
    held: tuple[Held, ...]
    own_key: str
    barred: dict[str, str]
    after: int
    """How long the log was when this night began."""
    alpha: float
    now: datetime
    outside: Outside

    @classmethod
    def open(cls, here: Services, *, after: int, alpha: float) -> "Watch":
        """Reads keys, approvals and the standing of vendors."""
        home = here.settings.home.resolve()
        trust = trusted_keys(home)
        register = VendorRegister(here.settings.database_url)
        return cls(
            here=here,
            trust=trust,
            inventory=Inventory(here.settings.database_url),
            held=tuple(held_approvals(here.store, trust)),
            own_key=open_signer(here.settings.signer or None, home=home).public_key.keyid,
            barred={one.vendor: one.state for one in register.vendors() if one.state in BARRED},
            after=after,
            alpha=alpha,
            now=datetime.now(UTC),
            outside=outside_of(here),
        )

    def look(self, asset: Asset) -> Look:
        """Looks at one asset. What is wrong with it becomes its row and stops nothing else.

        Raises:
            StoreError: The store does not answer, which is nothing about this asset.
        """
        try:
            return self._looked(asset)
        except StoreError as error:
            if error.code == "store.not_answering":
                raise
            return Look(row=failed(asset, error.message))
        except ProofhouseError as error:
            return Look(row=failed(asset, error.message))
        except Exception as error:  # one asset never stops the others
            logging.getLogger(__name__).exception("%s could not be looked at", asset.asset)
            return Look(row=failed(asset, f"{type(error).__name__}: {error}"))

    def _looked(self, asset: Asset) -> Look:
        runs = [row for row in self.inventory.runs(asset.asset) if row.occasion != ASSESSMENT]
        if not runs:
            raise EvidenceError(f"{asset.asset} is {asset.state}, but no whole run says why")
        last = self.verified(runs[0].run)
        before = self._subject(last.subject)
        today = self._read_again(before)
        remote = before.spec.model.endpoint is not None
        subject = last.subject if today == before else self.here.store.put(today.canonical()).digest
        plan = rationed(self._plan(last, subject), last, self.alpha, remote=remote)
        row = self._row(asset, last)
        if has_errors(last) or _is_due(plan, last, remote=remote):
            plan = next_attempt(plan).plan
            told = (*paper_reasons(before, today), *reasons(last.plan, plan))
            told = told or ("it is measured again every night",)
            if has_errors(last):
                told = ("checks broke the last time", *told)
            spent = spending(plan, self.alpha)
            return Look(row=row.model_copy(update={"reasons": told, "spent": spent}), plan=plan)
        if len(runs) > 1 and self._is_of_tonight(runs[0].ledger_index, last):
            return Look(row=compared(row, self.verified(runs[1].run), last, self.alpha))
        return Look(row=row)

    def verified(self, run: str) -> RunRecord:
        """Returns the record of a sealed run: signed by a trusted key and listed in the log.

        Raises:
            EvidenceError: It is not.
        """
        store = self.here.store
        claimed = store.claimed(RUNS + run)
        if claimed is None:
            raise EvidenceError(f"{run} is in the inventory, but was never sealed")
        sealed = read_sealed(claimed, place=RUNS + run)
        place = f"{sealed.statement} (statement of {run})"
        read: list[RunRecord] = []

        def dated(payload: bytes) -> Moment:
            """Parses the statement once, for its date and for us."""
            read.append(read_statement(payload, place=place).record)
            return Moment(moment_of(read[-1].sealed, place=place))

        with scratch_folder() as scratch:
            data = read_capped(store, sealed.statement, scratch=scratch)
        verify_envelope(data, payload_type=PAYLOAD_TYPE, trust=self.trust, dated=dated, place=place)
        record = read[-1]
        leaf = leaf_name(Entry.of(record, sealed.statement).leaf)
        if record.run != run or store.claimed(leaf) is None:
            raise EvidenceError(f"the log does not list {place}")
        return record

    def _subject(self, digest: Digest) -> Subject:
        return Subject.parse(self.here.store.get(digest))

    def _read_again(self, before: Subject) -> Subject:
        """Returns the subject as its papers read today; ``before`` when they read the same."""
        read = read_data_again if before.spec.model.kind == "dataset" else read_again
        with scratch_folder() as scratch:
            today = read(before, self.outside, self.here.store, scratch)
        return before if tells_the_same(before, today) else today

    def _plan(self, last: RunRecord, subject: Digest) -> RunPlan:
        """Plans what would be asked tonight: the tier as people or answers have it now.

        A battery that was chosen by hand, and that no policy names, stays chosen.
        """
        catalog = shared_catalog()
        named = {catalog.policy(name).battery for name in catalog.ids("policies")}
        tiering = last.plan.tiering
        granted: Granted = grants_of(
            self.held,
            last.asset,
            subject,
            own_key=self.own_key,
            now=self.now,
            store=self.here.store,
        )
        return plan_onboarding(
            subject,
            battery=None if last.plan.battery in {*named, DECLINED} else last.plan.battery,
            tier=last.tier if tiering is not None and tiering.by == "operator" else None,
            occasion=NIGHTLY,
            granted=granted,
        ).plan

    def _is_of_tonight(self, index: int, last: RunRecord) -> bool:
        return last.plan.occasion.startswith(NIGHTLY) and index >= self.after

    def _row(self, asset: Asset, last: RunRecord) -> AssetNight:
        state = self.barred.get(vendor_key(asset.vendor), "")
        return AssetNight(
            asset=asset.asset,
            tier=last.tier,
            happened="unchanged",
            run=last.run,
            verdict=last.decision.verdict.value,
            verdict_before=last.decision.verdict.value,
            problem=f"the vendor is {state}" if state else "",
        )


def compared(row: AssetNight, before: RunRecord, after: RunRecord, alpha: float) -> AssetNight:
    """Returns the row of an asset that was measured again: what changed and why."""
    return row.model_copy(
        update={
            "happened": "reassessed",
            "tier": after.tier,
            "run": after.run,
            "before": before.run,
            "verdict": after.decision.verdict.value,
            "verdict_before": before.decision.verdict.value,
            "reasons": row.reasons or reasons(before.plan, after.plan),
            "changes": changes(before, after),
            "spent": spending(after.plan, alpha),
        }
    )


def failed(asset: Asset, problem: str) -> AssetNight:
    """Returns the row of an asset about which tonight said nothing."""
    return AssetNight(
        asset=asset.asset, tier=asset.tier, happened="failed", run="", problem=problem[:2000]
    )


def _is_due(plan: RunPlan, last: RunRecord, *, remote: bool) -> bool:
    """Answers whether tonight asks anything that the last evidence does not answer."""
    same: dict[str, Any] = {"attempt": last.plan.attempt}
    if remote:
        same["alphas"] = last.plan.alphas  # its occasion has the date: it is asked once a day
    else:
        same["occasion"] = last.plan.occasion
    return plan.model_copy(update=same) != last.plan


def rationed(plan: RunPlan, last: RunRecord, total: float, *, remote: bool) -> RunPlan:
    """Gives every check that is measured anew the chance of a false alarm that is left for it.

    The first measurement of a check is judged as its gate says, the n-th other one after it is
    repetition n. A spec that was measured is not measured again, and what broke was no test:
    neither counts.

    Args:
        plan: What is to be asked.
        last: The last evidence; its plan says what its own repetitions could cost.
        total: Chance of ever raising a false alarm about one check.
        remote: The model is behind an address, so equal specs are measured anew.
    """
    before = {spec.check: spec for spec in last.plan.checks}
    told = {spent.check: spent.number for spent in spending(last.plan, total)}
    measured = {one.check for one in last.findings if one.outcome in _MEASURED}
    alphas: dict[str, float] = {}
    catalog = shared_catalog()
    for spec in plan.checks:
        if not isinstance(catalog.check(spec.check).gate, IntervalGate):
            continue  # what was observed is a witness and no chance
        number = told.get(spec.check, 0)
        anew = remote or before.get(spec.check) != spec
        if anew and spec.check in measured:
            number += 1
        if number:
            alphas[spec.check] = spend(number, total)
    return plan.model_copy(update={"alphas": alphas})


def spending(plan: RunPlan, total: float) -> tuple[Spending, ...]:
    """Returns what the repeated checks of a plan may cost, out of ``total`` for each."""
    return tuple(
        Spending(check=check, number=round(math.sqrt(6 * total / alpha) / math.pi), alpha=alpha)
        for check, alpha in plan.alphas.items()
    )
