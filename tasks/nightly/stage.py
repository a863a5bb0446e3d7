"""Nightly work as Prefect tasks: many looks in one task, one asset's new run, the signed night."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.events import emit_event
from prefect.futures import PrefectFuture

from tasks import clock, progress
from tasks.alarms.stage import raise_alarms_of_nights
from tasks.checks.stage import measure_plan
from tasks.code import code_digest
from tasks.domain.errors import InvalidInputError, StoreNotAnsweringError
from tasks.domain.moments import rfc3339
from tasks.domain.night import AssetNight, Night
from tasks.domain.run import RunRecord
from tasks.domain.spec import RunPlan
from tasks.inventory.database import Inventory
from tasks.inventory.rows import Asset
from tasks.ledger.keys import open_signer, trusted_keys
from tasks.ledger.nights import open_night, read_night, seal_night
from tasks.ledger.seal import sealed_run
from tasks.ledger.stage import seal_here
from tasks.ledger.witness import Witness
from tasks.nightly.choosing import chosen_assets
from tasks.nightly.looking import Look, Watch, compared, failed
from tasks.onboarding import judge_run, make_record
from tasks.reports.stage import announce, write_report_here
from tasks.runtime import services

_log = logging.getLogger(__name__)
BATCH = 100
"""Looks in one task: a task costs about 0.2 s, a look 0.02 s."""


@task(name="begin-night", task_run_name="begin the night", retries=2, retry_delay_seconds=5)
def begin_night(zone: str, only: Sequence[str]) -> dict[str, Any]:
    """Opens the night of today and lists the live assets, the highest tier first."""
    here = services()
    home = here.settings.home.resolve()
    day = clock.now().astimezone(_zone(zone)).date()
    night, started, after = open_night(day, here.store, trusted_keys(home))
    kept = chosen_assets(Inventory(here.settings.database_url).assets(), only)
    return {
        "night": night,
        "started": started.isoformat(),
        "after": after,
        "assets": [asset.model_dump(mode="json") for asset in kept],
    }


@task(name="look", retries=2, retry_delay_seconds=5)
def look_at(assets: list[dict[str, Any]], after: int, alpha: float) -> list[dict[str, Any]]:
    """Looks at a batch of assets where this task lands; returns looks as JSON values."""
    # A task travels by value, a plain function by reference: all work is behind the latter.
    return look_here(assets, after, alpha)


def look_here(assets: list[dict[str, Any]], after: int, alpha: float) -> list[dict[str, Any]]:
    """Does the same in this process, without Prefect."""
    watch = Watch.open(services(), after=after, alpha=alpha)
    looks = (watch.look(Asset.model_validate(asset)) for asset in assets)
    return [look.model_dump(mode="json") for look in looks]


def look_at_all(night: dict[str, Any], alpha: float) -> list[Look]:
    """Looks at every asset of a night on the workers, in batches; keeps their order."""
    assets = night["assets"]
    batches = [assets[at : at + BATCH] for at in range(0, len(assets), BATCH)]
    asked = [
        look_at.with_options(task_run_name=f"look at {len(batch)} assets").submit(
            batch, night["after"], alpha
        )
        for batch in batches
    ]
    return [
        look for batch, future in zip(batches, asked, strict=True) for look in _looks(batch, future)
    ]


def _looks(batch: list[dict[str, Any]], future: PrefectFuture[Any]) -> list[Look]:
    """Returns a batch's looks; those of a batch that was lost for good say so."""
    try:
        return [Look.model_validate(look) for look in future.result()]
    except StoreNotAnsweringError:
        raise
    except Exception as error:  # noqa: BLE001 - lost workers and crashed tasks come in many classes
        _log.warning("a batch of %d looks was lost: %s", len(batch), error)
        told = f"it could not be looked at: {type(error).__name__}: {error}"
        return [Look(row=failed(Asset.model_validate(asset), told)) for asset in batch]


def renewed(look: Look, alpha: float) -> AssetNight:
    """Measures an asset anew when its look says so; returns its row. One asset stops no other.

    Raises:
        StoreNotAnsweringError: Nothing can be kept, whatever the asset; the night goes on later.
    """
    if look.plan is None:
        return look.row
    try:
        record, before = _run(look.plan, look.row.run)
        return compared(look.row, before, record, alpha)
    except StoreNotAnsweringError:
        raise
    except Exception as error:  # noqa: BLE001 - a lost cluster, a full disk, a defect
        told = f"{type(error).__name__}: {error}"[:2000]
        _log.error("the night of %s failed: %s", look.row.asset, told)
        _log.debug("its trace", exc_info=True)
        return look.row.model_copy(update={"happened": "failed", "problem": told})


def renew_all(looks: Iterable[Look], alpha: float) -> list[AssetNight]:
    """Measures anew what has to be, one asset after the other, the highest tier first."""
    known = list(looks)
    due = sum(look.plan is not None for look in known)
    return list(_renewed_in_turn(known, due, alpha))


def _renewed_in_turn(looks: Sequence[Look], due: int, alpha: float) -> Iterator[AssetNight]:
    done = 0
    for look in looks:
        row = renewed(look, alpha)
        if look.plan is not None:
            done += 1
            progress.tell(done, due, f"{row.asset}: {row.happened} {row.verdict}")
        yield row


@task(name="close-night", task_run_name="close {night}", retries=2, retry_delay_seconds=5)
def close_night(night: str, started: str, alpha: float, rows: list[AssetNight]) -> dict[str, Any]:
    """Signs the night and shows it; returns what ``nightly --json`` prints."""
    document = close_here(night, started, alpha, rows)
    raise_alarms_of_nights()
    _show(document)
    return document


def close_here(night: str, started: str, alpha: float, rows: list[AssetNight]) -> dict[str, Any]:
    """Does the same in this process, without showing it in Prefect."""
    here = services()
    home = here.settings.home.resolve()
    trust = trusted_keys(home)
    began = datetime.fromisoformat(started)
    made = Night(
        night=night,
        started=rfc3339(began),
        ended=rfc3339(max(began, clock.now())),
        alpha=alpha,
        code=code_digest(),
        assets=tuple(rows),
    )
    sealed = seal_night(
        made,
        store=here.store,
        signer=open_signer(here.settings.signer or None, home=home),
        trust=trust,
        witness=Witness(home),
    )
    kept = read_night(night, here.store, trust)
    assert kept is not None, "a night that was just sealed can be read"
    return summary(kept) | {
        "evidence": {"statement": sealed.statement, "ledger_index": sealed.ledger_index}
    }


def summary(night: Night) -> dict[str, Any]:
    """Returns a night as machines read it: counts, alarms, and every asset that was not quiet."""
    counts = {"unchanged": 0, "reassessed": 0, "failed": 0}
    for row in night.assets:
        counts[row.happened] += 1
    told = [row for row in night.assets if row.happened != "unchanged" or row.problem]
    return {
        "night": night.night,
        "started": night.started,
        "ended": night.ended,
        "assets": len(night.assets),
        **counts,
        "alarms": [row.asset for row in night.assets if row.alarming],
        "changed": [row.model_dump(mode="json") for row in told],
    }


def _run(plan: RunPlan, before: str) -> tuple[RunRecord, RunRecord]:
    """Runs and seals a plan; returns its record and that of the run before it."""
    started = clock.now()
    executions = measure_plan(plan, plan.bundle)
    findings, decision = judge_run(plan, executions)
    report = write_report_here(plan, executions, findings, decision)
    seal_here(make_record(plan, executions, findings, decision, started=started, report=report))
    announce(plan.run)
    store = services().store
    now, then = sealed_run(store, plan.run), sealed_run(store, before)
    assert now is not None, "a run that was just announced is sealed"
    assert then is not None, "the look has verified the run before"
    return now[0], then[0]


def _show(document: dict[str, Any]) -> None:
    rows = [
        {
            "asset": row["asset"],
            "happened": row["happened"],
            "verdict": row["verdict"],
            "was": row["verdict_before"],
            "why": "; ".join(row["reasons"])[:300],
            "problem": row["problem"][:300],
        }
        for row in document["changed"]
    ]
    try:
        create_table_artifact(
            table=rows or [{"asset": "all", "happened": "unchanged"}],
            key=f"night-{document['night']}",
            description=f"**{document['night']}**: {document['assets']} assets, "
            f"{len(document['alarms'])} alarms",
        )
        for asset in document["alarms"]:
            emit_event(
                "proofhouse.asset.alarm",
                resource={"prefect.resource.id": f"proofhouse.asset.{asset}"},
                payload={"night": document["night"]},
            )
    except Exception as error:  # noqa: BLE001 - a server that is gone must not undo a night
        _log.warning("the Prefect UI does not show the night: %s", error)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidInputError(f"{name[:100]!r} is no time zone, as Europe/Berlin is.") from error
