"""Puts a gateway together: verified models in children, keys, limits, telemetry."""

import math
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tasks.domain.errors import InvalidInputError
from tasks.gateway.actions import ControlFile, gateway_folder, note
from tasks.gateway.calibrating import read_calibration
from tasks.gateway.keys import KeyRing, replace_file
from tasks.gateway.limits import Limits, MemoryLimits
from tasks.gateway.metrics import Metrics
from tasks.gateway.micro_queue import MicroQueue
from tasks.gateway.models import SandboxedModel, UpstreamModel
from tasks.gateway.parts import InForce, Parts
from tasks.gateway.policy import GatewayPolicy
from tasks.gateway.routing import Route, Routes
from tasks.gateway.servable import Servable, fetched, verify_servable
from tasks.gateway.telemetry import Features, Recorder, claim_part
from tasks.gateway.tracing import tracer_of
from tasks.gateway.trails import week_so_far
from tasks.gateway.watching import Watching
from tasks.sandbox.protocol import Sandbox
from tasks.store.protocol import ObjectStore
from tasks.targets.endpoint.broker import Terms

BATCH = 128


class Surroundings(NamedTuple):
    """What a gateway stands on. ``redis`` empty: limits are kept in this process.

    ``vouch`` is asked every ``vouch_seconds`` whether a model may still be served.
    """

    home: Path
    store: ObjectStore
    sandbox: Sandbox
    terms: Terms = Terms()
    redis: str = ""
    traces: str = ""
    copies: int = 1
    vouch: Callable[[str], object] | None = None
    vouch_seconds: float = 60


def built_gateway(
    champion: Servable,
    canary: Servable | None,
    policy: GatewayPolicy,
    around: Surroundings,
) -> Parts:
    """Opens the models and returns the parts, not yet started.

    Raises:
        ChildError: A model cannot be opened.
        InvalidInputError: Champion and canary do not fit each other, or a kept file is damaged.
    """
    for model in (champion, canary):
        if model is not None:
            verify_servable(model)
    spec = champion.spec
    folder = gateway_folder(around.home)
    folder.mkdir(parents=True, exist_ok=True)
    routes = Routes(
        _route("champion", champion, policy, around),
        None if canary is None else _route("canary", canary, policy, around),
    )
    name, metrics = claim_part(spec.name), Metrics()
    watching = Watching(around.home, policy.watch, metrics, read_calibration(around.home))
    if watching.calibration is not None:
        watching.recall(week_so_far(around.store, name, time.time()))
    recorder = Recorder(
        folder / "spool",
        around.store,
        name=name,
        keeping=policy.keeping,
        features=kept_features(champion, policy, around.home),
        heard=watching.heard,
    )
    file = ControlFile(folder)
    parts = Parts(
        home=around.home,
        name=spec.name,
        policy=policy,
        keys=KeyRing(folder),
        controls=InForce(file, file.read()),
        limits=_limits(around, name),
        routes=routes,
        recorder=recorder,
        watching=watching,
        metrics=metrics,
        tracer=tracer_of(around.traces),
        vouch=around.vouch,
        vouch_seconds=around.vouch_seconds,
    )
    parts.keys.refresh()
    _note_start(champion, canary, policy, folder)
    return parts


def _note_start(
    champion: Servable, canary: Servable | None, policy: GatewayPolicy, folder: Path
) -> None:
    """Writes down what is served and kept, and what answers show: an incident will ask for it."""
    note(
        folder, "start", by="gateway",
        models=[model.asset for model in (champion, canary) if model is not None],
        features=policy.keeping.features,
        filters={
            name: [f"{step.name} {step.settings}" for step in role.filters]
            for name, role in policy.roles.items()
        },
    )  # fmt: skip


def kept_features(model: Servable, policy: GatewayPolicy, home: Path) -> Features:
    """Returns what the gateway of this home keeps of this model's inputs."""
    spec = model.spec.input
    assert spec is not None, "servable models describe their input"
    low, high = spec.range
    secret = gateway_secret(home)
    return Features(policy.keeping, secret, size=math.prod(spec.shape), span=high - low)


def opened_model(model: Servable, around: Surroundings) -> SandboxedModel | UpstreamModel:
    """Opens one copy of a model.

    Raises:
        ChildError: It cannot be opened.
    """
    if model.artifact is None:
        return UpstreamModel(model.spec, around.terms)
    folder = gateway_folder(around.home) / "models"
    artifact, architecture = fetched(model, around.store, folder)
    copy = SandboxedModel(around.sandbox, model.spec, artifact, architecture)
    copy.open()
    return copy


def gateway_secret(home: Path) -> bytes:
    """Returns 32 bytes that key hashes and projections; made at first use.

    Raises:
        InvalidInputError: The file is damaged.
    """
    path = gateway_folder(home) / "secret"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        replace_file(path, secrets.token_bytes(32))
    secret = path.read_bytes()
    if len(secret) != 32:
        raise InvalidInputError(f"{path} must hold 32 bytes: restore it, or remove it")
    return secret


def _route(name: str, model: Servable, policy: GatewayPolicy, around: Surroundings) -> Route:
    copies = tuple(
        opened_model(model, around) for _ in range(around.copies if model.artifact else 1)
    )
    queue = MicroQueue(copies, batch=BATCH, waiting=policy.bounds.waiting)
    return Route(name, model.asset, model.run, model.spec, copies, queue)


def _limits(around: Surroundings, name: str) -> Limits:
    if not around.redis:
        return MemoryLimits(gateway_folder(around.home) / "limits.json")
    from tasks.gateway.limits_redis import RedisLimits  # noqa: PLC0415 - optional

    return RedisLimits(around.redis, f"proofhouse:gateway:{name}")
