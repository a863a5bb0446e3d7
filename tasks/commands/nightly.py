"""``proofhouse nightly``: every live asset, once more."""

from collections.abc import Sequence
from typing import Any

from tasks.cli import EXIT_BAD_INPUT, EXIT_OK, EXIT_UNDECIDED, Answer
from tasks.commands.onboard import prepare_home
from tasks.commands.progressing import progress_on_stderr
from tasks.domain.errors import InvalidInputError
from tasks.inventory.database import Inventory
from tasks.nightly.choosing import chosen_assets
from tasks.orchestration import prefect_api
from tasks.settings import read_settings


def nightly_answer(zone: str, *, alpha: float, only: Sequence[str], quiet: bool) -> Answer:
    """Runs the flow in this process and tells what was not quiet."""
    if not 0 < alpha < 0.5:
        raise InvalidInputError(f"--alpha is {alpha}, it must lie between 0 and 0.5.")
    home = read_settings().home
    prepare_home(home)
    # Told now: the flow takes every failure for one that may pass, and tries again after a minute.
    chosen_assets(Inventory(read_settings().database_url).assets(), only)
    from tasks.runtime import start_workers, wind_down  # noqa: PLC0415 - imports of the flow

    with (
        prefect_api(home, meanwhile=start_workers),
        progress_on_stderr("reassessing live assets", quiet=quiet),
    ):
        try:
            from flows.nightly import reassess_nightly  # noqa: PLC0415 - imports Prefect

            document: dict[str, Any] = reassess_nightly(zone, alpha=alpha, only=tuple(only))
        finally:
            wind_down()
    return Answer(document, lines(document), exit_code(document))


def exit_code(document: dict[str, Any]) -> int:
    """Returns 2 when an asset failed, 3 when one alarms, else 0."""
    if document["failed"]:
        return EXIT_BAD_INPUT
    return EXIT_UNDECIDED if document["alarms"] else EXIT_OK


def lines(document: dict[str, Any]) -> list[str]:
    """Returns the night as a person reads it."""
    counts = ", ".join(
        f"{document[key]} {words}"
        for key, words in (
            ("assets", "assets"),
            ("unchanged", "unchanged"),
            ("reassessed", "measured again"),
            ("failed", "failed"),
        )
    )
    told = [f"night {document['night']}: {counts}"]
    for row in document["changed"]:
        mark = "!" if row["asset"] in document["alarms"] else " "
        was = row["verdict_before"]
        verdict = row["verdict"] if row["verdict"] == was else f"{was} -> {row['verdict']}"
        told.append(f"{mark} {row['asset']} ({row['tier']}): {row['happened']}, {verdict}")
        told += [f"      because {reason}" for reason in row["reasons"]]
        told += [f"      {_change(change)}" for change in row["changes"]]
        told += [f"      {row['problem']}"] if row["problem"] else []
    return told


def _change(change: dict[str, Any]) -> str:
    what = f"{change['check']}: {change['before'] or 'new'} -> {change['after'] or 'gone'}"
    numbers = [
        f"{one['value']:.4g} [{one['low']:.4g}, {one['high']:.4g}]"
        for one in (change["estimate_before"], change["estimate_after"])
        if one
    ]
    why = f"; {'; '.join(change['why'])}" if change["why"] else ""
    return f"{what} {' -> '.join(numbers)}{why}"
