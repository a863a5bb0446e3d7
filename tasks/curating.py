"""Commands about data: review it, profile a trusted version, sign its rows, cut poison out."""

from pathlib import Path
from typing import Annotated

import typer

from tasks.answering import Answer, Json
from tasks.answering import run as _run

Tier = Annotated[str | None, typer.Option(help="Risk tier: low, medium or high.")]


def review_dataset(
    data: Annotated[Path, typer.Argument(help="A bundle, a data file, or a folder of data.")],
    *,
    tier: Tier = None,
    vendor: Annotated[str | None, typer.Option(help="Where bare data comes from.")] = None,
    name: Annotated[
        str | None, typer.Option(help="What bare data is called; versions of a name are compared.")
    ] = None,
    inputs: Annotated[str | None, typer.Option(help="Array or column of the inputs.")] = None,
    labels: Annotated[str | None, typer.Option(help="Array or column of the labels.")] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Data you trust; poison is looked for against it.")
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(help="Profile to hold it against; see *profile*.")
    ] = None,
    json_: Json = False,
) -> None:
    """Scan, validate and search data for poison, with or without a model; sign the verdict."""

    def work() -> Answer:
        from tasks.commands.review_dataset import review_answer  # noqa: PLC0415

        said = {"vendor": vendor, "name": name, "inputs": inputs, "labels": labels}
        return review_answer(
            data, tier=tier, said=said, reference=reference, profile=profile, quiet=json_
        )

    _run(work, json_)


def profile(
    data: Annotated[Path, typer.Argument(help="Trusted data: a file, or a folder of files.")],
    *,
    out: Annotated[Path, typer.Option(help="Where it goes.")] = Path("profile.yaml"),
    name: Annotated[str, typer.Option(help="What the data is called.")] = "",
    missing: Annotated[
        float, typer.Option(help="Share of values that may be missing on top of the usual.")
    ] = 0.01,
    far: Annotated[
        float, typer.Option(help="Widths of a range beyond which no value may lie.")
    ] = 10.0,
    alpha: Annotated[
        float, typer.Option(help="Chance that unchanged data is called broken, in all.")
    ] = 0.05,
    json_: Json = False,
) -> None:
    """Learn what a trusted version of a table lets expect; review-dataset holds others to it."""

    def work() -> Answer:
        from tasks.commands.profile import profile_answer  # noqa: PLC0415

        said = {"missing": missing, "far": far, "alpha": alpha}
        return profile_answer(data, out=out, name=name, said=said)

    _run(work, json_)


def manifest(
    data: Annotated[Path, typer.Argument(help="A bundle, a data file, or a folder of data.")],
    *,
    key: Annotated[Path, typer.Option(help="Private key: PEM, P-256, P-384 or P-521.")],
    out: Annotated[Path, typer.Option(help="Where it goes.")] = Path("dataset-manifest.json"),
    croissant: Annotated[Path | None, typer.Option(help="Write a Croissant card, too.")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the data.")] = None,
    consent: Annotated[str | None, typer.Option(help="Basis of people's data in it.")] = None,
    source: Annotated[str | None, typer.Option(help="Where the data were collected.")] = None,
    retention_until: Annotated[str | None, typer.Option(help="YYYY-MM-DD.")] = None,
    inputs: Annotated[str | None, typer.Option(help="Array or column of the inputs.")] = None,
    labels: Annotated[str | None, typer.Option(help="Array or column of the labels.")] = None,
    json_: Json = False,
) -> None:
    """Sign a dataset's files and every row of it, so that a later change names the rows."""

    def work() -> Answer:
        from tasks.commands.manifest import manifest_answer  # noqa: PLC0415

        said = {
            "licence": licence, "consent": consent, "source": source, "inputs": inputs,
            "labels": labels,
        }  # fmt: skip
        return manifest_answer(data, key, out=out, card=croissant, said=said, until=retention_until)

    _run(work, json_)


def quarantine(
    run: Annotated[str, typer.Argument(help="A run that found poison; see *inventory runs*.")],
    out: Annotated[Path, typer.Option(help="Folder for both parts.")] = Path("quarantine"),
    json_: Json = False,
) -> None:
    """Cut the poisoned rows of a sealed run out, sign what stays, and name the way back."""

    def work() -> Answer:
        from tasks.commands.quarantine import quarantine_answer  # noqa: PLC0415

        return quarantine_answer(run, out)

    _run(work, json_)


def register(app: typer.Typer) -> None:
    """Adds these commands to the program."""
    app.command("review-dataset", epilog="Example: `proofhouse review-dataset train.npz`")(
        review_dataset
    )
    app.command(epilog="Example: `proofhouse profile trusted.parquet --out profile.yaml`")(profile)
    app.command(epilog="Example: `proofhouse manifest train.npz --key acme.pem`")(manifest)
    app.command(epilog="Example: `proofhouse quarantine run-0123456789abcdef0123 --out cut`")(
        quarantine
    )
