"""Puts a gateway together: verified models in children, keys, limits, telemetry."""

import secrets
from pathlib import Path
from typing import NamedTuple

from tasks.domain.errors import InvalidInputError
from tasks.gateway.actions import ControlFile, gateway_folder
from tasks.gateway.keys import KeyRing, replace_file
from tasks.gateway.limits import Limits, MemoryLimits
from tasks.gateway.metrics import Metrics
from tasks.gateway.micro_queue import MicroQueue
from tasks.gateway.models import SandboxedModel, UpstreamModel
from tasks.gateway.parts import InForce, Parts
from tasks.gateway.policy import GatewayPolicy
from tasks.gateway.routing import Copies, Route, Routes
from tasks.gateway.servable import Servable, fetched, verify_servable
from tasks.gateway.telemetry import Features, Recorder, claim_part
from tasks.gateway.tracing import tracer_of
from tasks.gateway.watching import Watching
from tasks.sandbox.protocol import Sandbox
from tasks.store.protocol import ObjectStore
from tasks.targets.endpoint.broker import Terms

BATCH = 128


class Surroundings(NamedTuple):
    """What a gateway stands on. ``redis`` empty: limits are kept in this process."""

    home: Path
    store: ObjectStore
    sandbox: Sandbox
    terms: Terms = Terms()
    redis: str = ""
    traces: str = ""
    copies: int = 1


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
    assert spec.input is not None, "servable models describe their input"
    folder = gateway_folder(around.home)
    folder.mkdir(parents=True, exist_ok=True)
    routes = Routes(
        _route("champion", champion, policy, around),
        None if canary is None else _route("canary", canary, policy, around),
    )
    name, metrics = claim_part(f"{spec.name}"), Metrics()
    watching = Watching(around.home, policy.watch, metrics)
    size = 1
    for side in spec.input.shape:
        size *= side
    low, high = spec.input.range
    recorder = Recorder(
        folder / "spool",
        around.store,
        name=name,
        keeping=policy.keeping,
        features=Features(policy.keeping, gateway_secret(around.home), size=size, span=high - low),
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
    )
    parts.keys.refresh()
    return parts


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
    copies: Copies
    if model.artifact is None:
        copies = (UpstreamModel(model.spec, around.terms),)
    else:
        artifact, architecture = fetched(model, around.store, around.home / "gateway" / "models")
        copies = tuple(
            SandboxedModel(around.sandbox, model.spec, artifact, architecture)
            for _ in range(around.copies)
        )
    for copy in copies:
        copy.open()
    queue = MicroQueue(copies, batch=BATCH, waiting=policy.bounds.waiting)
    return Route(name, model.asset, model.run, model.spec, copies, queue)


def _limits(around: Surroundings, name: str) -> Limits:
    if not around.redis:
        return MemoryLimits(gateway_folder(around.home) / "limits.json")
    from tasks.gateway.limits_redis import RedisLimits  # noqa: PLC0415 - optional

    return RedisLimits(around.redis, f"proofhouse:gateway:{name}")
