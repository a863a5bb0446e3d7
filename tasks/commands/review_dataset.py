"""``proofhouse review-dataset``: data without a model, from intake to a signed verdict."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.cli import Answer
from tasks.commands.onboard import EXIT_CODES, lines, prepare_home
from tasks.commands.progressing import progress_on_stderr
from tasks.domain.errors import InvalidInputError
from tasks.domain.finding import RiskTier, Verdict
from tasks.forms import BareData, TierChoice
from tasks.intake.bare_data import is_bundle
from tasks.intake.precheck import precheck
from tasks.intake.profiles import read_profile
from tasks.settings import read_settings


def review_answer(
    data: Path,
    *,
    tier: str | None,
    said: Mapping[str, str | None],
    reference: Path | None,
    profile: Path | None = None,
    quiet: bool = False,
) -> Answer:
    """Reviews one dataset and describes the verdict.

    Args:
        data: A bundle, a data file, or a folder of data files.
        tier: Risk tier, or None for the one that the answers lead to.
        said: What the operator says of bare data: vendor, name, inputs, labels.
        reference: Data that the operator trusts.
        profile: What the data is held against, of ``proofhouse profile``.
        quiet: Only plain lines of progress.
    """
    from tasks.orchestration import prefect_api  # noqa: PLC0415 - only who runs a flow pays
    from tasks.runtime import start_workers, wind_down  # noqa: PLC0415

    for path in filter(None, (data, reference)):
        if not os.path.lexists(path):
            raise InvalidInputError(f"{path} does not exist. Give a bundle, data file or folder.")
    if tier is not None and tier not in set(RiskTier):
        raise InvalidInputError(f"tier {tier!r} is unknown. Choose low, medium or high.")
    if is_bundle(data):
        precheck(data)
    if profile is not None:
        read_profile(profile)  # refused before anything is started
    home = read_settings().home
    prepare_home(home)
    with (
        prefect_api(home, meanwhile=start_workers),
        progress_on_stderr(f"reviewing {data.name}", quiet=quiet),
    ):
        from flows.dataset_review import review_dataset  # noqa: PLC0415 - imports Prefect

        trusted = str(reference.resolve()) if reference else None
        bare = BareData(reference=trusted, **said)
        choice: TierChoice | None = RiskTier(tier).value if tier else None
        try:
            document: dict[str, Any] = review_dataset(
                str(data.resolve()),
                tier=choice,
                bare=bare,
                profile=str(profile.resolve()) if profile else None,
            )
        finally:
            wind_down()
    return Answer(document, lines(document), EXIT_CODES[Verdict(document["verdict"])])
