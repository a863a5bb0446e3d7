"""The registry as Prefect tasks: entering what was accepted, ruling canaries, moving champions."""

import logging
from datetime import UTC, datetime
from typing import Any

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.deployments import run_deployment
from prefect.events import emit_event
from prefect.runtime import deployment

from tasks.domain.promotion import model_of
from tasks.registry.canary import Rules
from tasks.registry.mirrors import show
from tasks.registry.place import RegistryPlace
from tasks.registry.registering import Why, promote, register, roll_back
from tasks.registry.ruling import Watched, act, watched
from tasks.registry.state import all_states, model_state
from tasks.runtime import services

_log = logging.getLogger(__name__)


@task(name="register", task_run_name="register", retries=2, retry_delay_seconds=1)
def enter_registry(run: str) -> str:
    """Registers the model of an accepted run as candidate; passes the run on. Repeatable."""
    return enter_registry_here(run)


def enter_registry_here(run: str) -> str:
    """Does the same in this process, without Prefect."""
    registry = _registry()
    state = register(run, registry, Why(f"{run} let it in", by="proofhouse"))
    if state is not None:
        show(state, registry)
    return run


@task(name="begin-baseline", task_run_name="begin baseline", retries=2, retry_delay_seconds=1)
def begin_baseline(asset: str) -> None:
    """Makes a candidate the canary of its model, unless it has been promoted already."""
    registry = _registry()
    state = model_state(model_of(asset), registry)
    if state.alias_of(asset) == "candidate":
        moved = promote(asset, "canary", registry, Why("its baseline begins", by="proofhouse"))
        show(moved, registry)


@task(name="rule", task_run_name="rule canaries", retries=2, retry_delay_seconds=1)
def rule_canaries(
    asset: str | None, days: int, longest: int, requests: int, automatic: bool
) -> list[dict[str, Any]]:
    """Rules every canary, acts on it unless told not to, and shows both; repeatable."""
    registry = _registry()
    rules = Rules(days=days, longest_days=longest, requests=requests)
    documents = []
    for one in watched(registry, rules, datetime.now(UTC), asset=asset):
        if automatic:
            show(act(one, registry), registry)
        documents.append(one.document())
        _tell(one)
    _table(documents)
    return documents


def look_again(documents: list[dict[str, Any]], parameters: dict[str, Any]) -> None:
    """Schedules this deployment once more for the moment when a waiting canary is due.

    Nothing waits meanwhile, no process and no suspended run. The same canary is scheduled once for
    one moment, however often this is asked. A run without a deployment leaves that to its operator.
    """
    if not deployment.id:
        return
    for document in documents:
        if document["look_again"]:
            due = datetime.fromisoformat(document["look_again"])
            run_deployment(
                deployment.id,
                parameters=parameters | {"asset": document["asset"]},
                scheduled_time=due,
                timeout=0,
                as_subflow=False,
                idempotency_key=f"canary {document['asset']} {due:%Y-%m-%d}",
            )


@task(name="roll-back", task_run_name="roll back {model}", retries=2, retry_delay_seconds=1)
def roll_back_champion(model: str, reason: str, leaving: str | None) -> dict[str, Any]:
    """Makes the previous champion champion again; with ``leaving`` it is safe to repeat."""
    registry = _registry()
    state = model_state(model, registry)
    champion = leaving or state.held.get("champion")
    moved = roll_back(model, registry, Why(reason, by="proofhouse"), leaving=champion)
    problems = show(moved, registry)
    last = moved.links[-1]
    return {
        "model": model,
        "left": champion,
        "aliases": dict(moved.held),
        "promotion": last.statement,
        "ledger_index": last.ledger_index,
        "problems": list(problems),
    }


@task(name="show-registry", retries=2, retry_delay_seconds=5)
def show_all() -> dict[str, list[str]]:
    """Writes every model's state to every mirror; returns what could not be shown, by model."""
    registry = _registry()
    return {state.model: list(show(state, registry)) for state in all_states(registry)}


def _registry() -> RegistryPlace:
    here = services()
    return RegistryPlace.here(here.settings)._replace(store=here.store)


def _tell(canary: Watched) -> None:
    """Emits an event, so that automations and people learn of it."""
    try:
        emit_event(
            f"proofhouse.canary.{canary.ruling.answer}",
            resource={"prefect.resource.id": f"proofhouse.asset.{canary.baseline.asset}"},
            payload={"reasons": list(canary.ruling.reasons)},
        )
    except Exception as error:  # noqa: BLE001 - a server that is gone must not undo a ruling
        _log.warning("nobody is told about %s: %s", canary.baseline.asset, error)


def _table(documents: list[dict[str, Any]]) -> None:
    rows = [
        {
            "asset": one["asset"],
            "answer": one["answer"],
            "quiet nights": len(one["quiet_nights"]),
            "requests": one["traffic"]["canary"]["requests"],
            "reasons": "; ".join(one["reasons"])[:300],
        }
        for one in documents
    ]
    try:
        create_table_artifact(table=rows or [{"asset": "no canary"}], key="canaries")
    except Exception as error:  # noqa: BLE001 - likewise
        _log.warning("the Prefect UI does not show the canaries: %s", error)
