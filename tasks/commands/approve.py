"""``proofhouse approve``: decisions of people, signed, logged and limited in time."""

import getpass
import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from tasks.cli import Answer
from tasks.domain.approval import Approval
from tasks.domain.errors import InvalidInputError
from tasks.domain.finding import Finding, Outcome, RiskTier
from tasks.domain.run import RunRecord
from tasks.inventory.database import Inventory
from tasks.inventory.rows import ApprovalRow
from tasks.ledger.approvals import held_approvals, seal_approval, standing_problem
from tasks.ledger.keys import open_signer, trusted_keys
from tasks.ledger.seal import sealed_run
from tasks.ledger.witness import Witness
from tasks.settings import Settings, read_settings
from tasks.store.opening import open_store
from tasks.store.protocol import ObjectStore

MOST_DAYS = 366
_DAYS = re.compile(r"([1-9][0-9]{0,3})d")
_SETTLED = {Outcome.PASS, Outcome.NOT_APPLICABLE}


def tier_answer(
    asset: str, tier: str, *, reason: str, expires: str, by: str, signer: str
) -> Answer:
    """Approves a tier for an asset that the inventory knows."""
    if tier not in set(RiskTier):
        raise InvalidInputError(f"tier {tier!r} is unknown. Choose low, medium or high.")
    known = [row.asset for row in _inventory().assets()]
    if asset not in known:
        listed = ", ".join(known[:10]) or "none yet; onboard its bundle first"
        raise InvalidInputError(f"no asset is called {asset!r}. Known: {listed}.")
    made = _decision(reason, by, expires) | {"kind": "tier", "asset": asset, "tier": tier}
    return _sealed(Approval.model_validate(made), signer)


def finding_answer(
    run: str, check: str, *, reason: str, expires: str, by: str, signer: str
) -> Answer:
    """Accepts one finding of a sealed run, exactly as it was measured."""
    settings = read_settings()
    record = _record(run, _store(settings))
    finding = _finding(record, check)
    made = _decision(reason, by, expires) | {
        "kind": "finding",
        "asset": record.asset,
        "run": run,
        "check": check,
        "measurement": finding.evidence[0],
        "subject": record.subject,
    }
    return _sealed(Approval.model_validate(made), signer)


def step_answer(
    case: str, step: str, *, granted: bool, reason: str, expires: str, by: str, signer: str
) -> Answer:
    """Answers a gate of a case that waits for it."""
    from tasks.casework import take_up_known, world_of  # noqa: PLC0415

    work = take_up_known(case, world_of(read_settings()))
    gates = [one.id for one in work.playbook.steps if one.gate is not None]
    if step not in gates:
        raise InvalidInputError(f"{case} has no gate called {step!r}. It has: {', '.join(gates)}.")
    made = _decision(reason, by, expires) | {
        "kind": "step",
        "asset": work.incident.asset or work.incident.name,
        "case": case,
        "step": step,
        "granted": granted,
    }
    return _sealed(Approval.model_validate(made), signer)


def list_answer() -> Answer:
    """Lists every approval in the ledger, and why it does not count if so."""
    settings = read_settings()
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = []
    for held in held_approvals(_store(settings), trusted_keys(settings.home.resolve())):
        problem = held.problem or (standing_problem(held.approval, now) if held.approval else "")
        told = held.approval.model_dump(mode="json") if held.approval else {}
        rows.append(told | {"name": held.name, "keyid": held.keyid, "problem": problem})
    return Answer({"approvals": rows}, [_line(row) for row in rows] or ["no approvals yet"])


def last_moment(text: str, now: datetime) -> datetime:
    """Reads ``90d`` or a day, which counts to its end in UTC.

    Raises:
        InvalidInputError: Neither, in the past, or further away than a year.
    """
    if days := _DAYS.fullmatch(text.strip()):
        moment = now + timedelta(days=int(days[1]))
    else:
        try:
            day = date.fromisoformat(text.strip())
        except ValueError:
            raise InvalidInputError(
                f"--expires {text!r} is no day. Write 2027-01-31, or a number of days as 90d."
            ) from None
        moment = datetime.combine(day, time(23, 59, 59), UTC)
    if not now < moment <= now + timedelta(days=MOST_DAYS):
        raise InvalidInputError(
            f"--expires {text} is {moment:%Y-%m-%d}: it must lie within {MOST_DAYS} days from now, "
            "so that somebody looks again."
        )
    return moment


def _decision(reason: str, by: str, expires: str) -> dict[str, Any]:
    now = datetime.now(UTC).replace(microsecond=0)
    if not reason.strip():
        raise InvalidInputError("--reason is empty. Say why; it is signed and shown in reports.")
    return {
        "reason": reason,
        "by": by.strip() or getpass.getuser(),
        "issued": now,
        "expires": last_moment(expires, now).replace(microsecond=0),
    }


def _record(run: str, store: ObjectStore) -> RunRecord:
    found = sealed_run(store, run)
    if found is None:
        raise InvalidInputError(f"no sealed run is called {run!r}. List: inventory runs.")
    return found[0]


def _finding(record: RunRecord, check: str) -> Finding:
    found = next((one for one in record.findings if one.check == check), None)
    if found is None:
        known = ", ".join(one.check for one in record.findings)
        raise InvalidInputError(f"{record.run} has no finding of {check!r}. It has: {known}.")
    if found.outcome in _SETTLED or not found.evidence:
        raise InvalidInputError(f"{check} is {found.outcome} in {record.run}: nothing to approve.")
    return found


def _sealed(approval: Approval, signer: str) -> Answer:
    settings = read_settings()
    home = settings.home.resolve()
    key = open_signer(signer or settings.signer or None, home=home)
    sealed = seal_approval(
        approval,
        store=_store(settings),
        signer=key,
        trust=trusted_keys(home),
        witness=Witness(home),
    )
    document = approval.model_dump(mode="json") | {
        "name": approval.name,
        "keyid": key.public_key.keyid,
        "evidence": sealed.model_dump(mode="json"),
    }
    _inventory().record_approval(_row(document))
    word = "denied" if approval.granted is False else "approved"
    told = [
        f"{approval.name}: {word} by {approval.by} until {approval.expires:%Y-%m-%d}",
        f"ledger   entry {sealed.ledger_index}, {sealed.statement}",
        "next     resume the case with: proofhouse respond"
        if approval.kind == "step"
        else "next     proofhouse onboard the bundle again; what was measured is not measured anew",
    ]
    return Answer(document, told)


def _row(document: dict[str, Any]) -> ApprovalRow:
    kept = {name: document.get(name) or "" for name in ApprovalRow.model_fields}
    return ApprovalRow.model_validate(kept | document["evidence"])


def _line(row: dict[str, Any]) -> str:
    if not row.get("kind"):
        return f"{row['name']}  DOES NOT COUNT: {row['problem']}"
    what = {
        "tier": f"tier {row['tier']}",
        "finding": f"{row['check']} of {row['run']}",
        "step": f"{'grants' if row.get('granted') else 'denies'} {row.get('step')} "
        f"of {row.get('case')}",
    }[row["kind"]]
    counts = f"DOES NOT COUNT: {row['problem']}" if row["problem"] else f"until {row['expires']}"
    return f"{row['name']}  {row['asset']}  {what}  by {row['by']}  {counts}"


def _store(settings: Settings) -> ObjectStore:
    return open_store(settings.store_url, home=settings.home.resolve())


def _inventory() -> Inventory:
    settings = read_settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    return Inventory(settings.database_url)
