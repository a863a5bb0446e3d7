"""``proofhouse assess``: one battery's questions about a known asset or a bundle."""

from pathlib import Path

from tasks.catalog.reading import Catalog
from tasks.cli import Answer
from tasks.commands.onboard import EXIT_CODES, check_arguments, check_tier, lines, prepare_home
from tasks.commands.progressing import progress_on_stderr
from tasks.domain.errors import InvalidInputError
from tasks.domain.finding import RiskTier, Verdict
from tasks.forms import TierChoice


def assess_answer(target: str, *, battery: str, tier: str | None, quiet: bool = False) -> Answer:
    """Assesses one asset and describes the answers."""
    from tasks.orchestration import prefect_api  # noqa: PLC0415 - only who works pays
    from tasks.runtime import start_workers, wind_down  # noqa: PLC0415
    from tasks.settings import read_settings  # noqa: PLC0415

    Catalog().battery(battery)
    home = read_settings().home
    prepare_home(home)
    target = known_or_bundle(target, battery=battery, tier=tier)
    with (
        prefect_api(home, meanwhile=start_workers),
        progress_on_stderr(f"assessing {Path(target).name}", quiet=quiet),
    ):
        try:
            from flows.assessment import assess_asset  # noqa: PLC0415 - imports Prefect

            choice: TierChoice | None = RiskTier(tier).value if tier else None
            document = assess_asset(target, battery=battery, tier=choice)
        finally:
            wind_down()
    return Answer(document, lines(document), EXIT_CODES[Verdict(document["verdict"])])


def known_or_bundle(target: str, *, battery: str | None = None, tier: str | None = None) -> str:
    """Returns the name of a known asset, or the whole path of a bundle, after checking it.

    Raises:
        InvalidInputError: It is neither, or the tier is unknown.
        CatalogError: There is no such battery.
    """
    from tasks.onboarding import subject_of  # noqa: PLC0415 - only who works pays

    if subject_of(target) is not None:
        check_tier(tier)
        return target
    if not Path(target).exists():
        raise InvalidInputError(
            f"{target} is no asset of the inventory and no bundle on this machine. "
            "`proofhouse inventory assets` lists the assets; else give the folder or archive that "
            "holds bundle.yaml."
        )
    check_arguments(Path(target), battery=battery, tier=tier)
    return str(Path(target).resolve())
