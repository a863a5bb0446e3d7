"""``proofhouse gateway``: the canary gateway, its keys, and what can be done to it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tasks.cli import Answer
from tasks.domain.errors import InvalidInputError

if TYPE_CHECKING:
    from tasks.detectors.telemetry.calibration import Calibration
    from tasks.domain.digest import Digest
    from tasks.gateway.parts import Parts
    from tasks.gateway.policy import GatewayPolicy
    from tasks.gateway.servable import Servable
    from tasks.gateway.starting import Surroundings


class Serving(NamedTuple):
    """How the command was called."""

    model: str
    canary: str | None
    host: str
    port: int
    policy: Path | None
    certificate: Path | None
    key: Path | None


def serve_answer(asked: Serving) -> Answer:
    """Serves an accepted model until interrupted."""
    import uvicorn  # noqa: PLC0415 - only who serves pays

    from tasks.gateway.service import gateway_app  # noqa: PLC0415

    if (asked.certificate is None) != (asked.key is None):
        raise InvalidInputError("TLS needs both --certificate and --key")
    parts, told = opened(asked)
    import typer  # noqa: PLC0415

    for line in told:
        typer.echo(line, err=True)
    config = uvicorn.Config(
        gateway_app(parts),
        host=asked.host,
        port=asked.port,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws="none",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
        h11_max_incomplete_event_size=16 << 10,
        ssl_certfile=asked.certificate,
        ssl_keyfile=asked.key,
    )
    uvicorn.Server(config).run()
    return Answer({"stopped": True}, [])


class _Verified(NamedTuple):
    """What a command works with: verified models, their policy, and what they stand on."""

    champion: "Servable"
    canary: "Servable | None"
    policy: "GatewayPolicy"
    around: "Surroundings"
    subject: "Digest"


def opened(asked: Serving) -> "tuple[Parts, list[str]]":
    """Verifies and opens the models; returns the gateway's parts and what to tell the operator.

    Raises:
        UnsignedModelError: A model is not registered, or its evidence does not verify.
        InvalidInputError: The policy does not fit.
    """
    from tasks.gateway.starting import built_gateway  # noqa: PLC0415

    found = _verified(asked.model, asked.canary, asked.policy)
    newest = found.canary or found.champion
    policy, quota = _with_quota(found.policy, found.around.store, newest.run)
    parts = built_gateway(found.champion, found.canary, policy, found.around)
    return parts, [*_told(parts, asked), quota, "Stop with Ctrl-C."]


def calibrate_answer(
    model: str, *, policy: Path | None, accounts: int, seed: int, since: str | None
) -> Answer:
    """Calibrates the abuse monitors on imitated clients, or on telemetry since a day."""
    from tasks.gateway.calibrating import (  # noqa: PLC0415
        accounts_needed,
        calibration_file,
        write_calibration,
    )

    found = _verified(model, None, policy)
    budget = found.policy.watch.alarms_per_10k_accounts_week / 10_000
    made = (
        _imitated(found, budget, accounts=accounts, seed=seed)
        if since is None
        else _observed(found, budget, since)
    )
    write_calibration(found.around.home, made)
    most = f"{made.bound * 10_000:.1f}"
    promise = f"at most {most} false alarms per 10,000 accounts and week"
    told = [f"{made.source}: {promise}, with 95 % confidence", str(calibration_file(_home()))]
    if not made.keeps_budget:
        told.append(
            f"The budget is {budget * 10_000:g}: {2 * accounts_needed(budget)} accounts could "
            "promise it. Alarms are raised all the same."
        )
    return Answer({**made.model_dump(mode="json"), "keeps_budget": made.keeps_budget}, told)


def _imitated(found: _Verified, budget: float, *, accounts: int, seed: int) -> "Calibration":
    from tasks.gateway.calibrating import evaluation_pool, imitated  # noqa: PLC0415
    from tasks.gateway.starting import kept_features, opened_model  # noqa: PLC0415

    pool = evaluation_pool(found.around.store, found.subject)
    copy = opened_model(found.champion, found.around)
    try:
        return imitated(
            pool, copy, kept_features(found.champion, found.policy, found.around.home),
            accounts=accounts, budget=budget, seed=seed,
        )  # fmt: skip
    finally:
        copy.close()


def _observed(found: _Verified, budget: float, since: str) -> "Calibration":
    from tasks.gateway.calibrating import observed, read_calibration  # noqa: PLC0415
    from tasks.gateway.telemetry import claim_part  # noqa: PLC0415
    from tasks.gateway.watching import alarmed_accounts  # noqa: PLC0415

    home, before = found.around.home, read_calibration(found.around.home)
    if before is None:
        raise InvalidInputError("calibrate on imitated clients first: that sets the unit")
    name = claim_part(found.champion.spec.name)
    return observed(
        found.around.store, name, unit=before.unit, budget=budget, since=since,
        alarmed=alarmed_accounts(home),
    )  # fmt: skip


def _verified(model: str, canary: str | None, policy: Path | None) -> _Verified:
    from tasks.gateway.policy import read_policy  # noqa: PLC0415
    from tasks.gateway.starting import Surroundings  # noqa: PLC0415
    from tasks.registry.place import RegistryPlace  # noqa: PLC0415
    from tasks.registry.serving import (  # noqa: PLC0415
        accepted_model,
        verify_still_accepted,
    )
    from tasks.sandbox.opening import open_sandbox  # noqa: PLC0415
    from tasks.sandbox.protocol import Level  # noqa: PLC0415
    from tasks.settings import read_settings  # noqa: PLC0415

    read, settings = read_policy(policy), read_settings()
    registry = RegistryPlace.here(settings)
    champion = accepted_model(model, registry)
    second = accepted_model(canary, registry) if canary else None
    around = Surroundings(
        home=registry.home,
        store=registry.store,
        sandbox=open_sandbox(required=Level(settings.sandbox.required)),
        terms=settings.terms,
        redis=settings.gateway.redis,
        traces=settings.gateway.traces,
        copies=settings.gateway.copies,
        vouch=lambda asset: verify_still_accepted(asset, RegistryPlace.here(settings)),
        vouch_seconds=settings.gateway.vouch_seconds,
    )
    return _Verified(champion, second, read, around, champion.subject)


def _told(parts: "Parts", asked: Serving) -> list[str]:
    role, tls = next(iter(parts.policy.roles)), "s" if asked.certificate else ""
    address = f"http{tls}://{asked.host}:{asked.port}/v2/models/{parts.name}/infer"
    made = f"make one: proofhouse gateway keys add ACCOUNT --role {role}"
    return [
        *(
            f"{route.name:<9}{route.asset}, accepted by {route.version}"
            for route in parts.routes.all()
        ),
        f"keys     {len(parts.keys.all())}; {made}",
        f"V2       {address}",
        f"abuse    {_watched(parts)}",
    ]


def _watched(parts: "Parts") -> str:
    calibration = parts.watching.calibration
    if calibration is None:
        return "nobody is watched: `proofhouse gateway calibrate` sets the monitors' threshold"
    if parts.policy.keeping.features == "none":
        return "nobody is watched: the policy keeps no features of inputs"
    return f"monitors calibrated on {calibration.source}"


def _with_quota(policy: "GatewayPolicy", store: Any, run: str) -> "tuple[GatewayPolicy, str]":
    from tasks.gateway.recommended import recommended_quota  # noqa: PLC0415

    found = recommended_quota(store, run)
    if found is None:
        return policy, "quota    none recommended: no finding on extraction in the verdict's run"
    return policy.with_quota(found.queries, found.alert_at), (
        f"quota    {found.queries} items a client, look at {found.alert_at}: {found.basis}"
    )


def keys_add_answer(account: str, role: str, segment: str, days: float | None) -> Answer:
    """Makes a key and shows it, once."""
    if days is not None and days <= 0:
        raise InvalidInputError(f"a key is good for more than {days:g} days")
    text, entry = _keys().add(account, role, segment=segment, days=days)
    document = {"key": text, **_plain(entry)}
    return Answer(document, [text, f"{entry.id} for {account}; it is shown only now"])


def keys_list_answer() -> Answer:
    """Lists keys without their secrets."""
    rows = [_plain(key) for key in _keys().all()]
    told = [
        f"{row['id']}  {row['account']}  {row['role']}  {row['segment'] or '-'}  "
        f"{'revoked' if row['revoked'] else 'until ' + str(row['expires'] or 'revoked')}"
        for row in rows
    ]
    return Answer({"keys": rows}, told or ["no keys yet"])


def action_answer(action: str, *named: str, undo: bool, **settings: Any) -> Answer:
    """Does one of ``tasks/gateway/actions.py`` to the gateway of this home."""
    from tasks.gateway import actions  # noqa: PLC0415

    act = getattr(actions, action)
    home = _home()
    done = act(home, *named, by="command line", undo=undo, **settings)
    told = list(done) if isinstance(done, tuple) else done.model_dump(mode="json")
    word = f"{'undone' if undo else 'done'}: {action.replace('set_', '')} {' '.join(named)}".strip()
    return Answer({"action": action, "undo": undo, "now": told}, [word])


def _keys() -> Any:
    from tasks.gateway.actions import gateway_folder  # noqa: PLC0415
    from tasks.gateway.keys import KeyRing  # noqa: PLC0415

    return KeyRing(gateway_folder(_home()))


def _home() -> Path:
    from tasks.settings import read_settings  # noqa: PLC0415

    return read_settings().home.resolve()


def _plain(key: Any) -> dict[str, Any]:
    plain: dict[str, Any] = key.model_dump(mode="json", exclude={"sha256"})
    return plain
