"""The ``proofhouse`` command: the only place that prints results or exits.

Each command's work lives in ``tasks/commands/`` and is imported when the command runs, so that
``proofhouse --help`` stays instant. Results go to stdout; progress and problems to stderr.
"""

import gc
from pathlib import Path
from typing import Annotated

import typer

from tasks.answering import (
    EXIT_BAD_INPUT,
    EXIT_OK,
    EXIT_REFUSED,
    EXIT_UNDECIDED,
    Answer,
    Json,
)
from tasks.answering import run as _run
from tasks.assuring import canary_app, events_app, nightly, registry_app
from tasks.curating import register as register_data
from tasks.governing import approve_app, intake_app, vendors_app
from tasks.guarding import gateway_app
from tasks.looking import catalog_app, inventory_app, keys_app
from tasks.responding import register as register_responses

__all__ = [
    "EXIT_BAD_INPUT", "EXIT_OK", "EXIT_REFUSED", "EXIT_UNDECIDED", "Answer", "Json", "app", "main",
]  # fmt: skip

app = typer.Typer(
    name="proofhouse",
    help="Proof-tests AI before an enterprise relies on it, and keeps testing it afterwards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(keys_app, name="keys")
app.add_typer(catalog_app, name="catalog")
app.add_typer(inventory_app, name="inventory")
app.add_typer(vendors_app, name="vendors")
app.add_typer(approve_app, name="approve")
app.add_typer(intake_app, name="intake")
app.add_typer(registry_app, name="registry")
app.add_typer(canary_app, name="canary")
app.add_typer(events_app, name="events")
app.command("nightly", epilog="Example: `proofhouse nightly --zone Europe/Berlin`")(nightly)
app.add_typer(gateway_app, name="gateway")
register_data(app)
register_responses(app)

Battery = Annotated[str | None, typer.Option(help="Battery, for example *quick*.")]
Tier = Annotated[str | None, typer.Option(help="Risk tier: low, medium or high.")]


@app.command(epilog="Example: `proofhouse demo --out demo-output`")
def demo(
    out: Annotated[Path, typer.Option(help="Folder for bundles.")] = Path("demo-output"),
    json_: Json = False,
) -> None:
    """Build an honest and a compromised vendor bundle from real data and onboard both."""

    def work() -> Answer:
        from tasks.commands.demo import demo_answer  # noqa: PLC0415

        return demo_answer(out, quiet=json_)

    _run(work, json_)


@app.command(epilog="Example: `proofhouse onboard vendor-bundle --tier high`")
def onboard(
    bundle: Annotated[Path, typer.Argument(help="Folder or archive with a bundle.yaml.")],
    battery: Battery = None,
    tier: Tier = None,
    json_: Json = False,
) -> None:
    """Run a vendor's bundle through every check of its risk tier and sign the verdict."""

    def work() -> Answer:
        from tasks.commands.onboard import onboard_answer  # noqa: PLC0415

        return onboard_answer(bundle, battery=battery, tier=tier, quiet=json_)

    _run(work, json_)


@app.command(epilog="Example: `proofhouse assess vendor-bundle --battery privacy`")
def assess(
    target: Annotated[str, typer.Argument(help="An asset of the inventory, or a bundle.")],
    battery: Annotated[str, typer.Option(help="Battery, for example *privacy*.")],
    tier: Tier = None,
    json_: Json = False,
) -> None:
    """Ask one battery's questions about a known asset or a bundle and sign the answers."""

    def work() -> Answer:
        from tasks.commands.assess import assess_answer  # noqa: PLC0415

        return assess_answer(target, battery=battery, tier=tier, quiet=json_)

    _run(work, json_)


@app.command(epilog="Example: `proofhouse retrain vendor-bundle --epsilon 2 --epsilon 8`")
def retrain(
    target: Annotated[str, typer.Argument(help="An asset of the inventory, or a bundle.")],
    epsilon: Annotated[
        list[float], typer.Option(help="Privacy budget; give it once for each model.")
    ] = [1.0, 2.0, 4.0, 8.0],  # noqa: B006 - typer copies it
    out: Annotated[Path, typer.Option(help="Folder for models and curve.")] = Path("retrained"),
    secure: Annotated[bool, typer.Option(help="Noise that nobody can redo.")] = False,
    json_: Json = False,
) -> None:
    """Train an asset's layers again with differential privacy and plot what it costs."""

    def work() -> Answer:
        from tasks.commands.retrain import retrain_answer  # noqa: PLC0415

        return retrain_answer(target, epsilons=epsilon, out=out, secure=secure, quiet=json_)

    _run(work, json_)


@app.command(
    epilog="Example: `proofhouse harden vendor-bundle --epsilon 0.1`. Exit code 0: a defence "
    "protects; 1: none does; 3: not settled."
)
def harden(
    target: Annotated[str, typer.Argument(help="An asset of the inventory, or a bundle.")],
    *,
    epsilon: Annotated[
        float, typer.Option(help="Largest change of a value, as a share of the input range.")
    ] = 0.0314,
    defence: Annotated[
        list[str] | None, typer.Option(help="Defence to try; all known ones when left out.")
    ] = None,
    points: Annotated[int, typer.Option(help="Most inputs to attack.")] = 200,
    epochs: Annotated[int, typer.Option(help="Epochs of adversarial training.")] = 30,
    tier: Tier = None,
    out: Annotated[Path, typer.Option(help="Folder for models and curve.")] = Path("hardened"),
    json_: Json = False,
) -> None:
    """Put defences up, attack each as one who knows of it, and keep the hardened models."""

    def work() -> Answer:
        from tasks.commands.harden import harden_answer  # noqa: PLC0415

        return harden_answer(
            target, epsilon=epsilon, defences=defence, points=points, epochs=epochs, tier=tier,
            out=out, quiet=json_,
        )  # fmt: skip

    _run(work, json_)


@app.command(
    epilog="Example: `proofhouse repair vendor-bundle --out repaired`. Exit code 0: the trigger is "
    "gone from one copy; 1: no repair takes it out; 3: not settled, or no trigger was rebuilt."
)
def repair(
    target: Annotated[str, typer.Argument(help="An asset of the inventory, or a bundle.")],
    *,
    epochs: Annotated[int, typer.Option(help="Epochs of training on.")] = 20,
    tier: Tier = None,
    out: Annotated[Path, typer.Option(help="Folder for models and trigger.")] = Path("repaired"),
    json_: Json = False,
) -> None:
    """Take a hidden trigger out of copies of a model, and count what each still obeys."""

    def work() -> Answer:
        from tasks.commands.repair import repair_answer  # noqa: PLC0415

        return repair_answer(target, epochs=epochs, tier=tier, out=out, quiet=json_)

    _run(work, json_)


@app.command(epilog="Example: `proofhouse scan model.pt weights/ --json`")
def scan(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders.")],
    format_: Annotated[str, typer.Option("--format", help="table, json or sarif.")] = "table",
    second_opinion: Annotated[
        bool, typer.Option("--second-opinion", help="Ask picklescan, modelscan and fickling too.")
    ] = False,
    json_: Json = False,
) -> None:
    """Read model and data files byte by byte for hostile content; nothing is executed."""

    def work() -> Answer:
        from tasks.commands.scan import scan_answer  # noqa: PLC0415

        return scan_answer(
            paths, format_="json" if json_ else format_, second_opinion=second_opinion
        )

    _run(work, json_ or format_ in ("json", "sarif"))


@app.command(epilog="Example: `proofhouse sign vendor-bundle --key acme.pem`")
def sign(
    model: Annotated[Path, typer.Argument(help="Folder (bundle or model), or one model file.")],
    *,
    key: Annotated[Path, typer.Option(help="Private key: PEM, P-256, P-384 or P-521.")],
    certificate: Annotated[Path | None, typer.Option(help="Certificate of the key, PEM.")] = None,
    chain: Annotated[list[Path] | None, typer.Option(help="Further certificates, PEM.")] = None,
    signature: Annotated[Path, typer.Option(help="Where the signature goes.")] = Path("model.sig"),
    ignore: Annotated[list[str] | None, typer.Option(help="Paths inside to leave out.")] = None,
    json_: Json = False,
) -> None:
    """Sign a model or bundle as OpenSSF model signing does; `model_signing verify` reads it."""

    def work() -> Answer:
        from tasks.commands.sign import sign_answer  # noqa: PLC0415

        return sign_answer(
            model, key, certificate=certificate, chain=chain or [], signature=signature,
            ignored=ignore or [],
        )  # fmt: skip

    _run(work, json_)


@app.command(epilog="Example: `proofhouse drift reference.parquet tonight.parquet`")
def drift(
    reference: Annotated[str, typer.Argument(help="File, folder, or digest of a kept sketch.")],
    current: Annotated[str, typer.Argument(help="File or folder of what the model meets now.")],
    *,
    labels: Annotated[str | None, typer.Option(help="Column of the true answers.")] = None,
    predictions: Annotated[
        str, typer.Option(help="Column of the outputs, or one a class with commas.")
    ] = "",
    model: Annotated[str, typer.Option(help="Accepted asset that answers both tables.")] = "",
    series: Annotated[str, typer.Option(help="Name under which nights add up.")] = "",
    alpha: Annotated[float, typer.Option(help="False alarms of the whole series.")] = 0.01,
    tolerance: Annotated[float, typer.Option(help="What a share of rows may move by.")] = 0.05,
    risk_tolerance: Annotated[float, typer.Option(help="What the risk may rise by.")] = 0.01,
    peer: Annotated[
        list[str] | None, typer.Option(help="Also ask *evidently* or *whylogs*.")
    ] = None,
    json_: Json = False,
) -> None:
    """Compare two tables, add the night to its series, and sign what drifted."""

    def work() -> Answer:
        from tasks.commands.drift import drift_answer  # noqa: PLC0415

        said = {
            "labels": labels, "predictions": predictions, "model": model, "series": series,
            "alpha": alpha, "tolerance": tolerance, "risk_tolerance": risk_tolerance,
        }  # fmt: skip
        return drift_answer(reference, current, said, peers=peer or (), quiet=json_)

    _run(work, json_)


@app.command(epilog="Example: `proofhouse verify --all`")
def verify(
    run: Annotated[str | None, typer.Argument(help="Run id; see *inventory runs*.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every sealed run and the ledger.")] = False,
    json_: Json = False,
) -> None:
    """Verify sealed evidence again, offline: bytes, signatures, ledger and references."""

    def work() -> Answer:
        from tasks.commands.verify import verify_answer  # noqa: PLC0415

        return verify_answer(None if all_ else run)

    _run(work, json_)


@app.command(epilog="Example: `proofhouse report run-0123456789abcdef0123 --format html`")
def report(
    run: Annotated[str, typer.Argument(help="Run id; see *inventory runs*.")],
    format_: Annotated[
        str, typer.Option("--format", help="html, json, sarif or cyclonedx.")
    ] = "html",
    out: Annotated[
        Path | None, typer.Option(help="Where to write; stdout for all but html.")
    ] = None,
    json_: Json = False,
) -> None:
    """Write the report of a sealed run."""

    def work() -> Answer:
        from tasks.commands.report import report_answer  # noqa: PLC0415

        return report_answer(run, "json" if json_ else format_, out)

    _run(work, json_)


@app.command(epilog="Example: `proofhouse serve --port 4200`")
def serve(
    port: Annotated[int, typer.Option(help="Port of UI and API on loopback.")] = 4200,
    events_port: Annotated[
        int, typer.Option(help="Port of the receiver of webhooks; 0: none.")
    ] = 0,
) -> None:
    """Run the Prefect server with its UI, every deployment, schedule and automation, here."""

    def work() -> Answer:
        from tasks.commands.serve import serve_answer  # noqa: PLC0415

        return serve_answer(port, events_port=events_port)

    _run(work, as_json=False)


@app.command(epilog="Example: `proofhouse doctor`")
def doctor(json_: Json = False) -> None:
    """Say what this machine can and cannot do: sandbox level, GPU, store guarantees, keys."""

    def work() -> Answer:
        from tasks.commands.doctor import doctor_answer  # noqa: PLC0415

        return doctor_answer()

    _run(work, json_)


def main() -> None:
    """Entry point of the ``proofhouse`` command."""
    # Imports make a million objects that stay; the default would look through them 800 times.
    gc.set_threshold(50_000)
    app()


if __name__ == "__main__":
    main()
