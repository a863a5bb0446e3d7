"""The commands that look: keys, catalog, inventory. Their work lives in ``tasks/commands/``."""

from typing import Annotated

import typer

from tasks.answering import Answer, Json, run

keys_app = typer.Typer(help="Signing keys of this installation.", no_args_is_help=True)
catalog_app = typer.Typer(help="Checks, batteries and policies.", no_args_is_help=True)
inventory_app = typer.Typer(help="Assets and their runs.", no_args_is_help=True)


@keys_app.command("init", epilog="Example: `proofhouse keys init`")
def keys_init(json_: Json = False) -> None:
    """Make the development signing key of this home, if there is none."""

    def work() -> Answer:
        from tasks.commands.keys import keys_init_answer  # noqa: PLC0415

        return keys_init_answer()

    run(work, json_)


@catalog_app.command("list", epilog="Example: `proofhouse catalog list`")
def catalog_list(json_: Json = False) -> None:
    """List every check, battery and policy."""

    def work() -> Answer:
        from tasks.commands.catalog import list_answer  # noqa: PLC0415

        return list_answer()

    run(work, json_)


@catalog_app.command(
    "show", epilog="Example: `proofhouse catalog show evasion.linf_robust_accuracy`"
)
def catalog_show(entry: Annotated[str, typer.Argument(help="Id.")], json_: Json = False) -> None:
    """Show one entry: its question, parameters, gate, blind spots and references."""

    def work() -> Answer:
        from tasks.commands.catalog import show_answer  # noqa: PLC0415

        return show_answer(entry)

    run(work, json_)


@catalog_app.command("check", epilog="Example: `proofhouse catalog check`")
def catalog_check(
    write_schemas: Annotated[
        bool, typer.Option("--write-schemas", help="Write catalogs/schemas/ anew.")
    ] = False,
    json_: Json = False,
) -> None:
    """Validate every entry and reference of the catalogs."""

    def work() -> Answer:
        from tasks.commands.catalog import check_answer  # noqa: PLC0415

        return check_answer(write_schemas=write_schemas)

    run(work, json_)


@inventory_app.command("assets", epilog="Example: `proofhouse inventory assets`")
def inventory_assets(json_: Json = False) -> None:
    """List known assets with tier, state and last verdict."""

    def work() -> Answer:
        from tasks.commands.inventory import assets_answer  # noqa: PLC0415

        return assets_answer()

    run(work, json_)


@inventory_app.command("runs", epilog="Example: `proofhouse inventory runs`")
def inventory_runs(
    asset: Annotated[str | None, typer.Option(help="Only runs of this asset.")] = None,
    json_: Json = False,
) -> None:
    """List sealed runs with their verdicts."""

    def work() -> Answer:
        from tasks.commands.inventory import runs_answer  # noqa: PLC0415

        return runs_answer(asset)

    run(work, json_)
