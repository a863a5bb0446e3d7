"""Alarms out of signed evidence: nights, drift, registered versions, verification. No I/O."""

from collections.abc import Sequence
from datetime import datetime

from tasks.domain.alarm import Alarm, Trigger
from tasks.domain.digest import Digest
from tasks.domain.finding import Outcome
from tasks.domain.night import AssetNight, Change
from tasks.domain.run import RunRecord

_LONGEST, _TITLE = 600, 300
_MOST = 50


def alarm_of_night(
    row: AssetNight, record: RunRecord, evidence: tuple[Digest, ...]
) -> Alarm | None:
    """Returns the alarm about an asset that reassures less than before; None when it does not.

    The run that shows it makes it the same alarm, so a night that is closed twice raises one.
    """
    bad = [change for change in row.changes if change.worse or _fails_anew(change)]
    fell = row.verdict_before.startswith("accepted") and not row.verdict.startswith("accepted")
    if row.happened != "reassessed" or not (bad or fell):
        return None
    dataset = record.plan.policy.startswith("dataset.")
    checks = sorted(change.check for change in bad)
    named = ", ".join(checks) or "the verdict"
    return Alarm(
        trigger=Trigger.DATASET_VERDICT_WORSE if dataset else Trigger.ASSESSMENT_VERDICT_WORSE,
        kinds=tuple(sorted({check.partition(".")[0] for check in checks})),
        same_as=(row.asset, row.run),
        title=f"{row.asset} reassures less than before: {named}"[:_TITLE],
        detected=datetime.fromisoformat(record.sealed),
        source="nightly",
        summary=f"{row.verdict}, was {row.verdict_before}. {'; '.join(row.reasons)}"[:4000],
        asset=row.asset,
        run=row.run,
        evidence=evidence,
    )


def alarm_of_drift(
    record: RunRecord, evidence: tuple[Digest, ...], *, asset: str = ""
) -> Alarm | None:
    """Returns the alarm of a comparison that found drift; None when it found none.

    Series and reference make it the same alarm: drift that lasts is told once.

    Args:
        record: The sealed comparison.
        evidence: What it rests on.
        asset: The model that answers the rows, when known; the series otherwise.
    """
    moved = [one for one in record.findings if one.outcome is Outcome.FAIL]
    if not moved:
        return None
    checks = sorted(one.check for one in moved)
    return Alarm(
        trigger=Trigger.DRIFT_ALARM,
        kinds=tuple(check.rpartition(".")[2] for check in checks),
        same_as=(record.asset, *checks),
        title=f"What {asset or record.asset} meets has moved: {', '.join(checks)}"[:_TITLE],
        detected=datetime.fromisoformat(record.sealed),
        source="watch-drift",
        summary="\n".join(f"{one.check}: {one.detail}" for one in moved)[:4000],
        asset=asset or record.asset,
        run=record.run,
        evidence=evidence,
    )


def alarm_of_version(asset: str, problem: str, now: datetime) -> Alarm:
    """Returns the alarm about a registered version that must not be loaded any more."""
    return Alarm(
        trigger=Trigger.REGISTRY_SIGNATURE_INVALID,
        same_as=(asset[:_LONGEST], problem[:_LONGEST]),
        title=f"{asset or 'The promotion log'} verifies no more"[:_TITLE],
        detected=now.replace(microsecond=0),
        source="nightly",
        summary=problem[:4000],
        asset=asset[:_LONGEST],
    )


def alarm_of_verification(problems: Sequence[str], now: datetime) -> Alarm | None:
    """Returns the alarm about evidence that does not verify; None when all of it does."""
    if not problems:
        return None
    told = tuple(sorted(problem[:_LONGEST] for problem in problems)[:_MOST])
    return Alarm(
        trigger=Trigger.EVIDENCE_ALTERED,
        same_as=told,
        title=f"{len(problems)} things of the sealed evidence do not verify",
        detected=now.replace(microsecond=0),
        source="keep-house",
        summary="\n".join(told)[:4000],
    )


def _fails_anew(change: Change) -> bool:
    return change.after is Outcome.FAIL and change.before is not Outcome.FAIL
