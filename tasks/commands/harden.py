"""``proofhouse harden``: defences put up and attacked by one who knows of them."""

from pathlib import Path
from typing import Any, cast, get_args

from tasks.catalog.reading import Catalog
from tasks.catalog.resolving import resolve_parameters
from tasks.cli import EXIT_OK, EXIT_REFUSED, EXIT_UNDECIDED, Answer
from tasks.commands.assess import known_or_bundle
from tasks.commands.onboard import prepare_home
from tasks.commands.progressing import progress_on_stderr
from tasks.domain.errors import InvalidInputError
from tasks.domain.finding import Finding, RiskTier
from tasks.forms import DefenceName, TierChoice


def harden_answer(
    target: str,
    *,
    epsilon: float,
    defences: list[str] | None,
    points: int,
    epochs: int,
    tier: str | None,
    out: Path,
    quiet: bool = False,
) -> Answer:
    """Compares defences and describes what each is worth."""
    from tasks.orchestration import prefect_api  # noqa: PLC0415 - only who works pays
    from tasks.response.compared import lay_out, measured  # noqa: PLC0415
    from tasks.response.hardening import CHECK, settings  # noqa: PLC0415
    from tasks.runtime import services, start_workers, wind_down  # noqa: PLC0415
    from tasks.settings import read_settings  # noqa: PLC0415

    chosen = _known(defences)
    asked = settings(epsilon=epsilon, defences=chosen, points=points, epochs=epochs)
    resolve_parameters(Catalog().check(CHECK), asked[CHECK])
    home = read_settings().home
    prepare_home(home)
    target = known_or_bundle(target, tier=tier)
    with (
        prefect_api(home, meanwhile=start_workers),
        progress_on_stderr(f"hardening {Path(target).name}", quiet=quiet),
    ):
        try:
            from flows.hardening import harden_model  # noqa: PLC0415 - imports Prefect

            choice: TierChoice | None = RiskTier(tier).value if tier else None
            document = harden_model(
                target, epsilon=epsilon, defences=chosen, points=points, epochs=epochs, tier=choice
            )
        finally:
            wind_down()
    finding = next(each for each in document["findings"] if each["check"] == CHECK)
    store = services().store
    files = lay_out(
        measured(document["run"], CHECK, store), Finding.model_validate(finding), store.get, out
    )
    return Answer(
        {**document, "files": [str(file) for file in files]},
        lines(document, files),
        exit_code(document),
    )


def exit_code(document: dict[str, Any]) -> int:
    """Returns 0 where a defence protects, 1 where none does, 3 where that is not settled."""
    effects = {row.get("effect") for row in document["defences"]}
    if "protects" in effects:
        return EXIT_OK
    settled = effects - {None} and not effects & {"doubtful", "no gain shown"}
    return EXIT_REFUSED if settled else EXIT_UNDECIDED


def lines(document: dict[str, Any], files: list[Path]) -> list[str]:
    """Returns the comparison as a person reads it."""
    told = [f"{document['asset']}: {document['detail']}", ""]
    told.append(f"  {'':<22} {'clean':>6} {'who does not know':>18} {'who knows':>10}  effect")
    for row in document["defences"]:
        rates = [
            row[name]["value"] for name in ("clean_accuracy", "unaware_accuracy", "robust_accuracy")
        ]
        told.append(
            f"  {row['defence']:<22} {rates[0]:>6.1%} {rates[1]:>18.1%} {rates[2]:>10.1%}  "
            f"{_effect(row)}"
        )
    told += [f"  {name:<22} not compared: {why}" for name, why in document["refused"].items()]
    told += [""]
    told += [
        f"  {row['defence']}: {alarm}" for row in document["defences"] for alarm in row["alarms"]
    ]
    if files:
        told.append(f"models, table and curve: {files[0].parent}")
        told.append("Put a hardened model into a bundle and onboard it.")
    told += [
        f"report   {document['report']}",
        f"verify   proofhouse verify {document['run']}",
    ]
    return told


def _effect(row: dict[str, Any]) -> str:
    if "effect" not in row:
        return "before"
    gain = row["gain"]
    return f"{row['effect']} (gain {gain['value']:+.1%}, {gain['low']:+.1%} to {gain['high']:+.1%})"


def _known(defences: list[str] | None) -> tuple[DefenceName, ...]:
    known = get_args(DefenceName)
    if unknown := [name for name in defences or () if name not in known]:
        raise InvalidInputError(
            f"There is no defence {', '.join(unknown)}. Choose from {', '.join(known)}."
        )
    return cast("tuple[DefenceName, ...]", tuple(defences or known))
