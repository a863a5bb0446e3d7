"""``proofhouse repair``: copies of a model without its hidden trigger, each counted."""

from pathlib import Path
from typing import Any

from tasks.catalog.reading import Catalog
from tasks.catalog.resolving import resolve_parameters
from tasks.cli import EXIT_OK, EXIT_REFUSED, EXIT_UNDECIDED, Answer
from tasks.commands.assess import known_or_bundle
from tasks.commands.onboard import prepare_home
from tasks.commands.progressing import progress_on_stderr
from tasks.domain.finding import Finding, RiskTier
from tasks.forms import TierChoice


def repair_answer(
    target: str, *, epochs: int, tier: str | None, out: Path, quiet: bool = False
) -> Answer:
    """Repairs copies and describes what is left of the trigger in each."""
    from tasks.orchestration import prefect_api  # noqa: PLC0415 - only who works pays
    from tasks.response.compared import lay_out, measured  # noqa: PLC0415
    from tasks.response.repairing import CHECK, settings  # noqa: PLC0415
    from tasks.runtime import services, start_workers, wind_down  # noqa: PLC0415
    from tasks.settings import read_settings  # noqa: PLC0415

    resolve_parameters(Catalog().check(CHECK), settings(epochs=epochs)[CHECK])
    home = read_settings().home
    prepare_home(home)
    target = known_or_bundle(target, tier=tier)
    with (
        prefect_api(home, meanwhile=start_workers),
        progress_on_stderr(f"repairing {Path(target).name}", quiet=quiet),
    ):
        try:
            from flows.repairing import repair_model  # noqa: PLC0415 - imports Prefect

            choice: TierChoice | None = RiskTier(tier).value if tier else None
            document = repair_model(target, epochs=epochs, tier=choice)
        finally:
            wind_down()
    finding = Finding.model_validate(_finding(document, CHECK))
    store = services().store
    measurement = measured(document["run"], CHECK, store)
    files = lay_out(measurement, finding, store.get, out, picture="trigger.png")
    return Answer(
        {**document, "files": [str(file) for file in files]},
        lines(document, files),
        exit_code(document, CHECK),
    )


def exit_code(document: dict[str, Any], check: str) -> int:
    """Returns 0 where a repair takes the trigger out, 1 where none does, 3 where that is open."""
    outcome = _finding(document, check)["outcome"]
    return {"pass": EXIT_OK, "fail": EXIT_REFUSED}.get(outcome, EXIT_UNDECIDED)


def lines(document: dict[str, Any], files: list[Path]) -> list[str]:
    """Returns the comparison as a person reads it."""
    told = [f"{document['asset']}: {document['detail']}", ""]
    if document["repairs"]:
        told.append(f"  {'':<14} {'obeys the trigger':>28} {'reads rightly':>28}")
    told += [
        f"  {row['repair'].replace('_', '-'):<14} {_rate(row['obeyed']):>28} "
        f"{_rate(row['clean_accuracy']):>28}"
        for row in document["repairs"]
    ]
    told += [f"  {name:<14} not possible: {why}" for name, why in document["refused"].items()]
    told.append("")
    if files:
        told.append(f"models, table and trigger: {files[0].parent}")
    if len(document["repairs"]) > 1:
        told.append("Put a repaired model into a bundle and onboard it.")
    return [
        *told,
        f"report   {document['report']}",
        f"verify   proofhouse verify {document['run']}",
    ]


def _finding(document: dict[str, Any], check: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in document["findings"] if each["check"] == check)
    return found


def _rate(estimate: dict[str, float]) -> str:
    return f"{estimate['value']:.1%} ({estimate['low']:.1%} to {estimate['high']:.1%})"
