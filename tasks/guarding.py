"""The gateway's commands. Their work lives in ``tasks/commands/gateway.py``."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tasks.answering import Answer, Json, run


class _ServesByDefault(TyperGroup):
    """``gateway MODEL`` means ``gateway serve MODEL``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["serve", *args]
        rest: list[str] = super().parse_args(ctx, args)
        return rest


gateway_app = typer.Typer(
    help="The canary gateway: an accepted model behind keys, limits, filters and telemetry. "
    "*gateway MODEL* serves.",
    no_args_is_help=True,
    cls=_ServesByDefault,
)
keys_app = typer.Typer(help="API keys; only their hashes are kept.", no_args_is_help=True)
gateway_app.add_typer(keys_app, name="keys")

Undo = Annotated[bool, typer.Option("--undo", help="Take it back.")]
Account = Annotated[str, typer.Argument(help="The account, as its keys name it.")]


@gateway_app.command(
    "serve",
    epilog="Example: `proofhouse gateway serve 'Acme Vision/digit-reader@1.2.0' --port 8080`; "
    "*serve* may be left out.",
)
def gateway_serve(
    model: Annotated[str, typer.Argument(help="An accepted asset, *vendor/name@version*.")],
    *,
    canary: Annotated[
        str | None, typer.Option(help="A second accepted asset for a share of the accounts.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8080,
    policy: Annotated[Path | None, typer.Option(help="TOML file: roles, limits, filters.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="TLS certificate chain, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="TLS private key, PEM.")] = None,
) -> None:
    """Serve an accepted model (V2 protocol) after verifying its evidence again."""

    def work() -> Answer:
        from tasks.commands.gateway import Serving, serve_answer  # noqa: PLC0415

        return serve_answer(Serving(model, canary, host, port, policy, certificate, key))

    run(work, as_json=False)


@gateway_app.command(
    "calibrate", epilog="Example: `proofhouse gateway calibrate 'Acme Vision/digit-reader@1.2.0'`"
)
def gateway_calibrate(
    model: Annotated[str, typer.Argument(help="An accepted asset, *vendor/name@version*.")],
    *,
    policy: Annotated[Path | None, typer.Option(help="TOML file: roles, limits, filters.")] = None,
    accounts: Annotated[int, typer.Option(help="Honest clients to imitate.", min=80)] = 12_000,
    seed: Annotated[int, typer.Option(help="Of the imitated clients.")] = 1,
    since: Annotated[
        str | None, typer.Option(help="Use telemetry since this day (2027-01-31) instead.")
    ] = None,
    json_: Json = False,
) -> None:
    """Set the abuse monitors' threshold so that they keep the policy's budget of false alarms."""

    def work() -> Answer:
        from tasks.commands.gateway import calibrate_answer  # noqa: PLC0415

        return calibrate_answer(model, policy=policy, accounts=accounts, seed=seed, since=since)

    run(work, json_)


@keys_app.command("add", epilog="Example: `proofhouse gateway keys add acme-app --role partner`")
def gateway_keys_add(
    account: Account,
    role: Annotated[str, typer.Option(help="A role of the policy, or admin, or monitor.")],
    segment: Annotated[str, typer.Option(help="A user segment, for the canary.")] = "",
    days: Annotated[float | None, typer.Option(help="Days until it expires.")] = None,
    json_: Json = False,
) -> None:
    """Make a key and show it, once."""

    def work() -> Answer:
        from tasks.commands.gateway import keys_add_answer  # noqa: PLC0415

        return keys_add_answer(account, role, segment, days)

    run(work, json_)


@keys_app.command("list", epilog="Example: `proofhouse gateway keys list`")
def gateway_keys_list(json_: Json = False) -> None:
    """List keys with account, role and standing; never their secrets."""

    def work() -> Answer:
        from tasks.commands.gateway import keys_list_answer  # noqa: PLC0415

        return keys_list_answer()

    run(work, json_)


@keys_app.command("revoke", epilog="Example: `proofhouse gateway keys revoke acme-app`")
def gateway_keys_revoke(
    name: Annotated[str, typer.Argument(help="A key's id, or an account for all its keys.")],
    undo: Undo = False,
    json_: Json = False,
) -> None:
    """Revoke one key, or all keys of an account; a running gateway follows within a second."""
    _act("revoke", name, undo=undo, json_=json_)


@gateway_app.command("throttle", epilog="Example: `proofhouse gateway throttle acme-app`")
def gateway_throttle(
    account: Account,
    factor: Annotated[float, typer.Option(help="Of the role's rate and burst.")] = 0.1,
    undo: Undo = False,
    json_: Json = False,
) -> None:
    """Slow an account down."""
    _act("throttle", account, factor=factor, undo=undo, json_=json_)


@gateway_app.command("reauth", epilog="Example: `proofhouse gateway reauth acme-app`")
def gateway_reauthenticate(account: Account, undo: Undo = False, json_: Json = False) -> None:
    """Answer an account again only with a key made from now on."""
    _act("reauthenticate", account, undo=undo, json_=json_)


@gateway_app.command("kill", epilog="Example: `proofhouse gateway kill --reason INC-7`")
def gateway_kill(
    reason: Annotated[str, typer.Option(help="Why; kept in actions.jsonl.")] = "killed",
    undo: Undo = False,
    json_: Json = False,
) -> None:
    """Answer nobody any more, or everybody again."""
    _act("kill", reason=reason, undo=undo, json_=json_)


@gateway_app.command("share", epilog="Example: `proofhouse gateway share 25`")
def gateway_share(
    percent: Annotated[float, typer.Argument(help="Share of accounts that meet the canary.")],
    undo: Undo = False,
    json_: Json = False,
) -> None:
    """Set the canary's share of accounts; 0 takes it out."""
    _act("set_canary", percent=percent, undo=undo, json_=json_)


def _act(action: str, *named: str, undo: bool, json_: bool, **settings: Any) -> None:
    def work() -> Answer:
        from tasks.commands.gateway import action_answer  # noqa: PLC0415

        return action_answer(action, *named, undo=undo, **settings)

    run(work, json_)
