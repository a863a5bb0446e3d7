"""``proofhouse retrain``: an asset's layers trained again under privacy budgets."""

from pathlib import Path
from typing import Any

from tasks.cli import EXIT_OK, Answer
from tasks.commands.assess import known_or_bundle
from tasks.commands.onboard import prepare_home
from tasks.commands.progressing import progress_on_stderr
from tasks.domain.errors import InvalidInputError

LEAST, MOST = 0.01, 100.0


def retrain_answer(
    target: str, *, epsilons: list[float], out: Path, secure: bool, quiet: bool = False
) -> Answer:
    """Trains again and describes what each budget costs."""
    from tasks.orchestration import prefect_api  # noqa: PLC0415 - only who works pays
    from tasks.response.private_retraining import lay_out  # noqa: PLC0415
    from tasks.runtime import services, start_workers, wind_down  # noqa: PLC0415
    from tasks.settings import read_settings  # noqa: PLC0415

    if bad := [epsilon for epsilon in epsilons if not LEAST <= epsilon <= MOST]:
        raise InvalidInputError(
            f"epsilon {bad[0]:g} is outside {LEAST:g}..{MOST:g}. Name budgets that protect "
            "somebody and can be reached."
        )
    home = read_settings().home
    prepare_home(home)
    target = known_or_bundle(target)
    with (
        prefect_api(home, meanwhile=start_workers),
        progress_on_stderr(f"retraining {Path(target).name}", quiet=quiet),
    ):
        try:
            from flows.retraining import retrain_model  # noqa: PLC0415 - imports Prefect

            document = retrain_model(target, epsilons=tuple(epsilons), secure=secure)
        finally:
            wind_down()
    files = lay_out(document, services().store.get, out)
    return Answer(
        {**document, "files": [str(file) for file in files]}, _lines(document, out), EXIT_OK
    )


def _lines(document: dict[str, Any], out: Path) -> list[str]:
    told = [f"{document['asset']} trained again:", ""]
    for model in document["models"]:
        budget = (
            f"epsilon {model['epsilon']:.2f} (RDP {model['epsilon_rdp']:.2f})"
            if model["epsilon"]
            else "without noise"
        )
        told.append(
            f"  {budget:<28} accuracy {model['accuracy']:.3f} "
            f"({model['low']:.3f} to {model['high']:.3f}, n = {model['n']})"
        )
    told += ["", f"models, claims and curve: {out}", "Put one into a bundle and onboard it."]
    return told
