"""The commands of continuous assurance. Their work lives in ``tasks/commands/``."""

from pathlib import Path
from typing import Annotated

import typer

from tasks.answering import Answer, Json, run

registry_app = typer.Typer(
    help="Registered models: signatures, aliases, promotion, rollback, export.",
    no_args_is_help=True,
)

canary_app = typer.Typer(
    help="Canaries: new versions under watch, promoted or rolled back on evidence.",
    no_args_is_help=True,
)

events_app = typer.Typer(
    help="Webhooks of S3, MLflow and Git forges that start work.", no_args_is_help=True
)

Why = Annotated[str, typer.Option("--reason", help="Why; signed and kept in the ledger.")]
By = Annotated[str, typer.Option("--by", help="Who decides; you, when left out.")]
Asset = Annotated[str, typer.Argument(help="*vendor/name@version*.")]
Reference = Annotated[str, typer.Argument(help="*vendor/name@version* or *vendor/name@champion*.")]
Model = Annotated[str, typer.Argument(help="*vendor/name*, or one of its versions.")]
Evidence = Annotated[
    list[str] | None, typer.Option(help="Digest of an object that speaks for it; repeatable.")
]


@registry_app.command("list", epilog="Example: `proofhouse registry list`")
def registry_list(json_: Json = False) -> None:
    """List registered versions with their aliases."""

    def work() -> Answer:
        from tasks.commands.registry import list_answer  # noqa: PLC0415

        return list_answer()

    run(work, json_)


@registry_app.command("show", epilog="Example: `proofhouse registry show 'Acme/reader'`")
def registry_show(model: Model, json_: Json = False) -> None:
    """Show a model: versions, every move with its reason, and what mirrors show differently."""

    def work() -> Answer:
        from tasks.commands.registry import show_answer  # noqa: PLC0415

        return show_answer(model)

    run(work, json_)


@registry_app.command("check", epilog="Example: `proofhouse registry check 'Acme/reader@champion'`")
def registry_check(reference: Reference, json_: Json = False) -> None:
    """Say whether a model may be loaded: verdict, evidence and signatures, verified now."""

    def work() -> Answer:
        from tasks.commands.registry import check_answer  # noqa: PLC0415

        return check_answer(reference)

    run(work, json_)


@registry_app.command("add", epilog="Example: `proofhouse registry add 'Acme/reader@1.2.0'`")
def registry_add(
    target: Annotated[str, typer.Argument(help="A run, or an asset for its latest whole run.")],
    reason: Why = "its run was accepted",
    by: By = "",
    json_: Json = False,
) -> None:
    """Sign an accepted model and enter it as candidate; onboarding does so by itself."""

    def work() -> Answer:
        from tasks.commands.registry import add_answer, why_of  # noqa: PLC0415

        return add_answer(target, why_of(reason, by))

    run(work, json_)


@registry_app.command(
    "promote",
    epilog="Example: `proofhouse registry promote 'Acme/reader@1.2.0' --alias champion "
    "--reason 'two quiet weeks'`",
)
def registry_promote(
    asset: Asset,
    *,
    alias: Annotated[str, typer.Option(help="canary or champion.")],
    reason: Why,
    by: By = "",
    evidence: Evidence = None,
    json_: Json = False,
) -> None:
    """Give a registered version an alias; the one that held it before loses it."""

    def work() -> Answer:
        from tasks.commands.registry import promote_answer, why_of  # noqa: PLC0415

        return promote_answer(asset, alias, why_of(reason, by, evidence))

    run(work, json_)


@registry_app.command(
    "rollback", epilog="Example: `proofhouse registry rollback 'Acme/reader' --reason 'drift'`"
)
def registry_rollback(
    model: Model,
    reason: Why,
    by: By = "",
    leaving: Annotated[
        str | None, typer.Option(help="Only if this version is champion now.")
    ] = None,
    json_: Json = False,
) -> None:
    """Make the previous champion champion again and take the present one out of service."""

    def work() -> Answer:
        from tasks.commands.registry import rollback_answer, why_of  # noqa: PLC0415

        return rollback_answer(model, why_of(reason, by), leaving)

    run(work, json_)


@registry_app.command(
    "withdraw", epilog="Example: `proofhouse registry withdraw 'Acme/reader@1' --reason 'recall'`"
)
def registry_withdraw(asset: Asset, reason: Why, by: By = "", json_: Json = False) -> None:
    """Take a version out of service: it loses its alias and is loaded no more."""

    def work() -> Answer:
        from tasks.commands.registry import why_of, withdraw_answer  # noqa: PLC0415

        return withdraw_answer(asset, why_of(reason, by))

    run(work, json_)


@registry_app.command(
    "export",
    epilog="Example: `proofhouse registry export 'Acme/reader@champion' --format triton --out r`",
)
def registry_export(
    reference: Reference,
    out: Annotated[Path, typer.Option(help="New folder.")],
    format_: Annotated[
        str, typer.Option("--format", help="files, mlserver, triton or kserve.")
    ] = "files",
    uri: Annotated[str, typer.Option(help="Where KServe finds the folder.")] = "",
    json_: Json = False,
) -> None:
    """Write a model that may be loaded for a server of the V2 protocol, with its signatures."""

    def work() -> Answer:
        from tasks.commands.registry import export_answer  # noqa: PLC0415

        return export_answer(reference, format_, out, uri)

    run(work, json_)


@registry_app.command("sync", epilog="Example: `proofhouse registry sync`")
def registry_sync(json_: Json = False) -> None:
    """Write the registry's state to the inventory and to MLflow again."""

    def work() -> Answer:
        from tasks.commands.registry import sync_answer  # noqa: PLC0415

        return sync_answer()

    run(work, json_)


Days = Annotated[int, typer.Option(help="Days and quiet nights that a baseline needs.")]
Longest = Annotated[int, typer.Option(help="Days after which a person has to decide.")]
Requests = Annotated[int, typer.Option(help="Requests that the canary must have answered.")]


@canary_app.command("status", epilog="Example: `proofhouse canary status`")
def canary_status(
    asset: Annotated[str | None, typer.Argument(help="One canary.")] = None,
    *,
    days: Days = 7,
    longest: Longest = 14,
    requests: Requests = 200,
    json_: Json = False,
) -> None:
    """Tell what is known about canaries and what follows from it; changes nothing."""

    def work() -> Answer:
        from tasks.commands.canary import rules_of, status_answer  # noqa: PLC0415

        return status_answer(asset, rules_of(days, longest, requests))

    run(work, json_)


@canary_app.command("start", epilog="Example: `proofhouse canary start 'Acme/reader@1.2.0'`")
def canary_start(
    asset: Asset, reason: Why = "its baseline begins", by: By = "", json_: Json = False
) -> None:
    """Make a registered version the canary of its model."""

    def work() -> Answer:
        from tasks.commands.canary import start_answer  # noqa: PLC0415
        from tasks.commands.registry import why_of  # noqa: PLC0415

        return start_answer(asset, why_of(reason, by))

    run(work, json_)


@canary_app.command("promote", epilog="Example: `proofhouse canary promote 'Acme/reader@1.2.0'`")
def canary_promote(
    asset: Asset,
    reason: Why = "",
    *,
    by: By = "",
    despite: Annotated[
        bool, typer.Option("--despite-evidence", help="Promote whatever the evidence says.")
    ] = False,
    days: Days = 7,
    longest: Longest = 14,
    requests: Requests = 200,
    json_: Json = False,
) -> None:
    """Make a canary champion, when its evidence says so or a person answers for it."""

    def work() -> Answer:
        from tasks.commands.canary import promote_answer, rules_of  # noqa: PLC0415

        rules = rules_of(days, longest, requests)
        return promote_answer(asset, reason, by, rules, despite=despite)

    run(work, json_)


@canary_app.command(
    "rollback", epilog="Example: `proofhouse canary rollback 'Acme/reader@2' --reason 'slow'`"
)
def canary_rollback(asset: Asset, reason: Why, by: By = "", json_: Json = False) -> None:
    """Take a canary out of service; the champion goes on alone."""

    def work() -> Answer:
        from tasks.commands.canary import rollback_answer  # noqa: PLC0415

        return rollback_answer(asset, reason, by)

    run(work, json_)


@canary_app.command(
    "signal",
    epilog="Example: `proofhouse canary signal 'Acme/reader@2' --kind drift --severity high "
    "--reason 'inputs moved'`",
)
def canary_signal(
    asset: Asset,
    *,
    kind: Annotated[str, typer.Option(help="What it is about: drift, abuse, errors …")],
    severity: Annotated[str, typer.Option(help="info, low, medium, high or critical.")],
    reason: Why,
    by: By = "",
    evidence: Evidence = None,
    json_: Json = False,
) -> None:
    """Report something about a version in service; from *high* on its canary is rolled back."""

    def work() -> Answer:
        from tasks.commands.canary import signal_answer  # noqa: PLC0415
        from tasks.commands.registry import why_of  # noqa: PLC0415

        return signal_answer(asset, kind, severity, why_of(reason, by, evidence))

    run(work, json_)


@events_app.command("listen", epilog="Example: `proofhouse events listen --port 8790`")
def events_listen(
    port: Annotated[int, typer.Option(help="Port on loopback; put TLS in front of it.")] = 8790,
) -> None:
    """Take authenticated webhooks and hand them to the Prefect server, until interrupted."""

    def work() -> Answer:
        from tasks.commands.listen import listen_answer  # noqa: PLC0415

        return listen_answer(port)

    run(work, as_json=False)


@events_app.command("token", epilog="Example: `proofhouse events token intake-bucket`")
def events_token(
    bucket: Annotated[str, typer.Argument(help="Bucket whose notifications are to be believed.")],
    json_: Json = False,
) -> None:
    """Print the opaque data that a bucket's notifications must carry."""

    def work() -> Answer:
        from tasks.commands.listen import token_answer  # noqa: PLC0415

        return token_answer(bucket)

    run(work, json_)


@events_app.command("forward", epilog="Example: `proofhouse events forward --once`")
def events_forward(
    *,
    once: Annotated[bool, typer.Option("--once", help="One pass, then end.")] = False,
    json_: Json = False,
) -> None:
    """Keep a gateway's new alarms and tell the Prefect server, until each is answered."""

    def work() -> Answer:
        from tasks.commands.forward import forward_answer  # noqa: PLC0415

        return forward_answer(once=once)

    run(work, json_)


@events_app.command("alarms", epilog="Example: `proofhouse events alarms`")
def events_alarms(json_: Json = False) -> None:
    """List alarms and the cases that they started; exit code 1 when one waits for an answer."""

    def work() -> Answer:
        from tasks.commands.forward import alarms_answer  # noqa: PLC0415

        return alarms_answer()

    run(work, json_)


def nightly(
    zone: Annotated[str, typer.Option(help="Time zone whose date names the night.")] = "UTC",
    *,
    alpha: Annotated[
        float, typer.Option(help="Chance of ever raising a false alarm about one check.")
    ] = 0.05,
    asset: Annotated[
        list[str] | None, typer.Option(help="Only this live asset; repeatable.")
    ] = None,
    json_: Json = False,
) -> None:
    """Reassess every live asset; what is unchanged costs nothing, what changed is explained."""

    def work() -> Answer:
        from tasks.commands.nightly import nightly_answer  # noqa: PLC0415

        return nightly_answer(zone, alpha=alpha, only=asset or [], quiet=json_)

    run(work, json_)
