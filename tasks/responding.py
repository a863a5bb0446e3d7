"""The commands of incidents and drills. Their work lives in ``tasks/commands/``."""

from pathlib import Path
from typing import Annotated

import typer

from tasks.answering import Answer, Json, run

cases_app = typer.Typer(help="Cases: playbooks that are being followed.", no_args_is_help=True)
drills_app = typer.Typer(help="Drills and what they taught.", no_args_is_help=True)
playbooks_app = typer.Typer(help="Playbooks, and CACAO.", no_args_is_help=True)
By = Annotated[str, typer.Option("--by", help="Who does it; you, when left out.")]


def respond(
    playbook: Annotated[str, typer.Argument(help="Playbook, for example *model_compromise*.")],
    *,
    incident: Annotated[Path, typer.Option(help="Incident file (proofhouse.incident/1).")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    done: Annotated[str, typer.Option(help="A manual step that was done.")] = "",
    undo: Annotated[str, typer.Option(help="An action to be undone, by its step.")] = "",
    fact: Annotated[list[str] | None, typer.Option(help="What is known now: *name=value*.")] = None,
    note: Annotated[str, typer.Option(help="Words for the timeline.")] = "",
    by: By = "",
    json_: Json = False,
) -> None:
    """Follow a playbook for an incident; run it again to resume where it stands."""

    def work() -> Answer:
        from tasks.commands.respond import respond_answer  # noqa: PLC0415

        return respond_answer(
            playbook, incident, dry_run=dry_run, done=done, undone=undo, facts=fact or [],
            note=note, by=by,
        )  # fmt: skip

    run(work, json_)


def drill(
    name: Annotated[str, typer.Argument(help="Drill, for example *backdoored_vendor_model*.")],
    *,
    answers: Annotated[Path | None, typer.Option(help="Score these instead of playing.")] = None,
    faster: Annotated[
        float | None,
        typer.Option(min=1, help="How many times as fast the story runs: 10, or the live entry's."),
    ] = None,
    team: Annotated[str, typer.Option(help="Who plays.")] = "team",
    out: Annotated[Path | None, typer.Option(help="Folder for the report.")] = None,
    json_: Json = False,
) -> None:
    """Hold a drill: play a tabletop one, score an answers file, or fire a live one; report."""

    def work() -> Answer:
        from tasks.commands.drills import drill_answer  # noqa: PLC0415

        return drill_answer(name, answers, faster=faster, team=team, out=out)

    run(work, json_)


@cases_app.command("list", epilog="Example: `proofhouse cases list`")
def cases_list(json_: Json = False) -> None:
    """List cases and what each waits for."""

    def work() -> Answer:
        from tasks.commands.respond import cases_answer  # noqa: PLC0415

        return cases_answer()

    run(work, json_)


@cases_app.command("show", epilog="Example: `proofhouse cases show case-0123456789abcdef0123`")
def cases_show(
    case: Annotated[str, typer.Argument(help="Case id; see *cases list*.")], json_: Json = False
) -> None:
    """Show a case: steps, deadlines, legal clocks, timeline."""

    def work() -> Answer:
        from tasks.commands.respond import case_answer  # noqa: PLC0415

        return case_answer(case)

    run(work, json_)


@drills_app.command("list", epilog="Example: `proofhouse drills list`")
def drills_list(json_: Json = False) -> None:
    """List the drills of the catalog."""

    def work() -> Answer:
        from tasks.commands.drills import list_answer  # noqa: PLC0415

        return list_answer()

    run(work, json_)


@drills_app.command("items", epilog="Example: `proofhouse drills items`")
def drills_items(json_: Json = False) -> None:
    """List improvement items with owner and day; exit code 1 when one is overdue."""

    def work() -> Answer:
        from tasks.commands.drills import items_answer  # noqa: PLC0415

        return items_answer()

    run(work, json_)


@drills_app.command(
    "close", epilog="Example: `proofhouse drills close item-0123456789ab --reason 'rights given'`"
)
def drills_close(
    item: Annotated[str, typer.Argument(help="Item id; see *drills items*.")],
    *,
    reason: Annotated[str, typer.Option(help="What was changed.")],
    by: By = "",
    json_: Json = False,
) -> None:
    """Close an improvement item, with the reason."""

    def work() -> Answer:
        from tasks.commands.drills import close_answer  # noqa: PLC0415

        return close_answer(item, reason=reason, by=by)

    run(work, json_)


@playbooks_app.command("list", epilog="Example: `proofhouse playbooks list`")
def playbooks_list(json_: Json = False) -> None:
    """List the playbooks of the catalog."""

    def work() -> Answer:
        from tasks.commands.playbooks import list_answer  # noqa: PLC0415

        return list_answer()

    run(work, json_)


@playbooks_app.command(
    "export", epilog="Example: `proofhouse playbooks export model_extraction --out cacao.json`"
)
def playbooks_export(
    name: Annotated[str, typer.Argument(help="Playbook, for example *model_compromise*.")],
    out: Annotated[Path | None, typer.Option(help="File; stdout when left out.")] = None,
    json_: Json = False,
) -> None:
    """Write a playbook as CACAO 2.0, for other tools."""

    def work() -> Answer:
        from tasks.commands.playbooks import export_answer  # noqa: PLC0415

        return export_answer(name, out)

    run(work, json_)


@playbooks_app.command("import", epilog="Example: `proofhouse playbooks import cacao.json`")
def playbooks_import(
    file: Annotated[Path, typer.Argument(help="CACAO 2.0 document that was exported here.")],
    json_: Json = False,
) -> None:
    """Read an exported playbook back, as the YAML of a catalog entry."""

    def work() -> Answer:
        from tasks.commands.playbooks import import_answer  # noqa: PLC0415

        return import_answer(file)

    run(work, json_)


def register(app: typer.Typer) -> None:
    """Adds these commands to the program."""
    app.command(
        epilog="Example: `proofhouse respond model_compromise --incident incident.yaml --dry-run`"
    )(respond)
    app.command(
        epilog="Example: `proofhouse drill backdoored_vendor_model --answers answers.yaml`"
    )(drill)
    app.add_typer(cases_app, name="cases")
    app.add_typer(drills_app, name="drills")
    app.add_typer(playbooks_app, name="playbooks")
