"""``proofhouse onboard``: the main job."""

import os
from pathlib import Path
from typing import Any

from tasks.catalog.reading import Catalog
from tasks.cli import EXIT_OK, EXIT_REFUSED, EXIT_UNDECIDED, Answer
from tasks.commands.progressing import progress_on_stderr
from tasks.commands.wording import outcome_mark
from tasks.domain.errors import InvalidInputError
from tasks.domain.finding import RiskTier, Verdict
from tasks.forms import TierChoice
from tasks.intake.precheck import precheck

EXIT_CODES = {
    Verdict.ACCEPTED: EXIT_OK,
    Verdict.ACCEPTED_WITH_CONDITIONS: EXIT_OK,
    Verdict.NEEDS_REVIEW: EXIT_UNDECIDED,
    Verdict.REFUSED: EXIT_REFUSED,
}


def onboard_answer(
    bundle: Path, *, battery: str | None, tier: str | None, quiet: bool = False
) -> Answer:
    """Onboards one bundle and describes the verdict."""
    from tasks.orchestration import prefect_api  # noqa: PLC0415 - only who runs a flow pays
    from tasks.runtime import start_workers, wind_down  # noqa: PLC0415
    from tasks.settings import read_settings  # noqa: PLC0415

    check_arguments(bundle, battery=battery, tier=tier)
    home = read_settings().home
    prepare_home(home)
    with (
        prefect_api(home, meanwhile=start_workers),
        progress_on_stderr(f"onboarding {bundle.name}", quiet=quiet),
    ):
        try:
            document = run_onboarding(bundle, battery=battery, tier=tier)
        finally:
            wind_down()
    return Answer(document, lines(document), EXIT_CODES[Verdict(document["verdict"])])


def check_arguments(bundle: Path, *, battery: str | None, tier: str | None) -> None:
    """Refuses what can be refused before anything is started.

    Raises:
        InvalidInputError: The path holds no usable bundle, or the tier is unknown.
        CatalogError: There is no such battery.
    """
    if not os.path.lexists(bundle):
        raise InvalidInputError(
            f"{bundle} does not exist. Give the folder or archive that holds bundle.yaml."
        )
    check_tier(tier)
    if battery is not None:
        Catalog().battery(battery)
    precheck(bundle)


def check_tier(tier: str | None) -> None:
    """Refuses a tier that is none. Raises :class:`InvalidInputError`."""
    if tier is not None and tier not in set(RiskTier):
        raise InvalidInputError(f"tier {tier!r} is unknown. Choose low, medium or high.")


def prepare_home(home: Path) -> None:
    """Opens key, store and sandbox, so that what is missing fails before any work.

    Finishes what an earlier command was killed in the middle of sealing.
    """
    from tasks.ledger.keys import open_signer, trusted_keys  # noqa: PLC0415
    from tasks.ledger.seal import reconcile  # noqa: PLC0415
    from tasks.ledger.witness import Witness  # noqa: PLC0415
    from tasks.runtime import services  # noqa: PLC0415
    from tasks.settings import read_settings  # noqa: PLC0415

    home.mkdir(parents=True, exist_ok=True)
    home = home.resolve()
    signer = open_signer(read_settings().signer or None, home=home)
    reconcile(services().store, signer, trust=trusted_keys(home), witness=Witness(home))


def run_onboarding(bundle: Path, *, battery: str | None, tier: str | None) -> dict[str, Any]:
    """Runs the flow in this process; the caller has set up a Prefect API and ends the cluster."""
    from flows.onboarding import onboard_model  # noqa: PLC0415 - imports Prefect

    choice: TierChoice | None = RiskTier(tier).value if tier else None
    return onboard_model(str(bundle.resolve()), battery=battery, tier=choice)


def lines(document: dict[str, Any]) -> list[str]:
    """Returns the verdict as a person reads it."""
    told = [f"{document['asset']}: {document['verdict'].upper().replace('_', ' ')}", ""]
    told += [f"  - {reason}" for reason in document["reasons"]]
    told += [f"  - condition: {condition}" for condition in document["conditions"]]
    told.append("")
    told += [
        f"  {outcome_mark(finding['outcome'])} {finding['check']}: {finding['detail'][:160]}"
        for finding in document["findings"]
    ]
    told += [
        "",
        f"run      {document['run']} (tier {document['tier']})",
        f"report   {document['report']}",
        f"verify   proofhouse verify {document['run']}",
    ]
    return told
