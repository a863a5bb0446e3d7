"""Holding a live-fire drill: in a home of its own, with a result that is kept, signed, in this one.

``live_fire`` is the whole of it for whoever wants a drill held: a command, a deployment, a test.
"""

import importlib
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tasks.casework import take_up, world_of
from tasks.catalog.live_drills import LiveDrillEntry
from tasks.catalog.reading import Catalog, entry_digest
from tasks.code import code_digest
from tasks.deployments import DEPLOYMENTS
from tasks.domain.digest import Digest
from tasks.domain.frozen import canonical_json
from tasks.domain.incident import Incident
from tasks.domain.live_drill import LiveResult, Moment
from tasks.gateway.actions import gateway_folder
from tasks.gateway.telemetry import parquet_bytes
from tasks.gateway.window import telemetry_rows
from tasks.ledger.keys import open_signer, trusted_keys
from tasks.registry.serving import AcceptedModel
from tasks.response.acting import World
from tasks.response.following import Following
from tasks.response.live.battle import FOLLOWS_SECONDS, Battle, Proof
from tasks.response.live.benign import BenignTraffic
from tasks.response.live.fighting import fight
from tasks.response.live.ground import Ground, made_ground
from tasks.response.live.outside import Outside, outside
from tasks.response.live.record import Record
from tasks.response.live.scoring import improvements, measured, objectives
from tasks.response.live.serving import served
from tasks.response.rehearsals import keep_live, last_live
from tasks.sandbox.opening import open_sandbox
from tasks.sandbox.protocol import Level, Sandbox
from tasks.settings import Settings, read_settings
from tasks.store.protocol import ObjectStore

Told = Callable[[str], None]


class _Terms(NamedTuple):
    """How a drill is held."""

    faster: float
    team: str
    seed: int
    say: Told


class LiveFire(NamedTuple):
    """A drill that was held: its result, where that is kept, and the one before it."""

    entry: LiveDrillEntry
    result: LiveResult
    statement: Digest
    """The signed result."""
    before: LiveResult | None
    """The last time the same drill was held; None the first time."""


def live_fire(
    name: str | LiveDrillEntry, *, faster: float | None = None, team: str = "proofhouse",
    seed: int = 0, settings: Settings | None = None, sandbox: Sandbox | None = None,
    say: Told = lambda _: None,
) -> LiveFire:  # fmt: skip
    """Holds a live-fire drill and keeps its signed result in the home that the settings name.

    The attack, the gateway, accounts and cases live in a temporary home, which is removed.

    Args:
        name: Id of the drill or its last part; or an entry, for trying one out.
        faster: Seconds of the story in a real one; the entry's own when None.
        team: Who holds it.
        seed: Of the attack and of honest questions.
        settings: Where the result is kept and which sandbox level is required.
        sandbox: Opens the models; the machine's best when None.
        say: Is told what happens.

    Raises:
        CatalogError: There is no such drill.
        ProofhouseError: The drill could not be held; what it found is in the result, never raised.
    """
    settings = settings or read_settings()
    entry = Catalog().live_drill(name) if isinstance(name, str) else name
    sandbox = sandbox or open_sandbox(required=Level(settings.sandbox.required))
    kept = world_of(settings)
    kept.signer()  # a drill whose result cannot be signed is not begun
    with tempfile.TemporaryDirectory(prefix="proofhouse-drill-") as folder:
        terms = _Terms(faster or entry.faster, team, seed, say)
        result = _held(entry, Path(folder), kept.store, sandbox, terms)
    before = last_live(kept.store, kept.trust(), entry.id)
    statement = keep_live(result, store=kept.store, signer=kept.signer())
    return LiveFire(entry, result, statement, before)


def _held(
    entry: LiveDrillEntry, folder: Path, keep: ObjectStore, sandbox: Sandbox, terms: _Terms
) -> LiveResult:
    home, held = folder / "home", datetime.now(UTC).replace(microsecond=0)
    say = terms.say
    ground = made_ground(
        home, sandbox, code=code_digest(), faster=terms.faster, say=say,
        # Whoever is noticed by other means needs no monitor of queries.
        watched=entry.detection.trigger.startswith("gateway."),
    )  # fmt: skip
    record = Record(lambda moment: say(_line(moment)))
    names = [deployment.name for deployment in DEPLOYMENTS]
    with outside(names, f"file:{home / 'siem.jsonl'}") as world_outside:
        canary = _prepared(entry, ground)
        with served(ground.gateway(canary)) as port:
            say("the gateway answers, honest callers ask; the attack begins")
            battle = Battle(entry, ground, record, port, terms.faster, terms.seed, canary=canary)
            try:
                proofs = _fought(battle, _world(ground, world_outside))
            finally:
                battle.hang_up()
    found = measured(battle)
    judged = tuple(objectives(battle, found, proofs))
    return LiveResult(
        drill=entry.id,
        version=entry.version,
        entry=entry_digest(entry),
        playbook=entry_digest(Catalog().playbook(entry.playbook)),
        team=terms.team,
        held=held,
        faster=terms.faster,
        detected_by=found.detected_by,
        seconds_to_detect=found.to_detect,
        seconds_to_contain=found.to_contain,
        leaked_queries=found.leaked,
        fidelity=found.fidelity,
        benign_requests=found.benign,
        benign_refused=found.refused,
        benign_hurt=found.hurt,
        objectives=judged,
        volleys=record.volleys(),
        moments=tuple(sorted(record.moments, key=lambda moment: moment.at)),
        cases=tuple(work.name for work in battle.cases),
        evidence=_evidence(battle, keep),
        improvements=tuple(improvements(entry, judged, held)),
    )


def _prepared(entry: LiveDrillEntry, ground: Ground) -> AcceptedModel | None:
    """Lets the attack do what lies before the drill; returns the model it brought into service."""
    module = importlib.import_module(f"tasks.response.live.attacks.{entry.attack.name}")
    prepare: Callable[[Ground], AcceptedModel | None] = getattr(module, "prepare", lambda _: None)
    return prepare(ground)


def _fought(battle: Battle, world: World) -> dict[str, Proof]:
    """Runs the attack and the response amid honest traffic; returns what was proven after it."""
    entry = battle.entry
    attack, benign = entry.attack, entry.benign
    who = "robbed" if attack.stolen else "stranger"
    honest = battle.new_lines("customer", benign.accounts)
    battle.lines = battle.new_lines(who, attack.accounts, attack.role) if attack.accounts else []
    traffic = BenignTraffic(
        honest, battle.ground.pool, battle.record,
        per_second=benign.per_second * battle.faster, seed=battle.seed,
    )  # fmt: skip

    def opened(incident: Incident) -> Following:
        return take_up(entry.playbook, incident, world, dry_run=False)

    with traffic:
        fight(battle, opened)
        time.sleep(FOLLOWS_SECONDS)  # what was done last is in force then
        proofs: dict[str, Proof] = {}
        for name in entry.proofs:
            module = importlib.import_module(f"tasks.response.live.proofs.{name}")
            proofs[name] = module.prove(battle)
            battle.record.tell("containment", f"{name.replace('_', ' ')}: {proofs[name].said}")
    return proofs


def _world(ground: Ground, around: Outside) -> World:
    place = ground.place
    return World(
        home=ground.home,
        store=place.store,
        database=place.database,
        signer=lambda: open_signer(None, home=ground.home),
        trust=lambda: trusted_keys(ground.home),
        prefect_url=around.prefect_url,
        channels=around.channels,
        registry=place,
        sandbox=lambda: ground.assessor.sandbox,
    )


def _evidence(battle: Battle, keep: ObjectStore) -> dict[str, Digest]:
    """Keeps what would go with the drill's home: cases, alarms, actions, telemetry, by digest."""
    home = battle.ground.home
    kept = {
        work.name: keep.put(
            canonical_json(
                {
                    "head": work.log.head.model_dump(mode="json"),
                    "incident": work.incident.model_dump(mode="json"),
                    "events": [event.model_dump(mode="json") for event in work.log.events()],
                }
            )
        ).digest
        for work in battle.cases
    }
    rows = telemetry_rows(battle.ground.store, home, lambda _: True)
    kept["telemetry"] = keep.put(parquet_bytes(rows)).digest
    for name in ("alarms.jsonl", "actions.jsonl"):
        if (path := gateway_folder(home) / name).is_file():
            kept[name] = keep.put(path.read_bytes()).digest
    return kept


def _line(moment: Moment) -> str:
    return f"{moment.at:7.2f} s  {moment.lane:<11} {moment.what}"
