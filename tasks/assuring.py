"""The commands of continuous assurance. Their work lives in ``tasks/commands/``."""

from pathlib import Path
from typing import Annotated

import typer

from tasks.answering import Answer, Json, run

registry_app = typer.Typer(
    help="Registered models: signatures, aliases, promotion, rollback, export.",
    no_args_is_help=True,
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
