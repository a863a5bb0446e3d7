"""``proofhouse intake``: bundles that are dropped into a folder or an S3 prefix."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import typer

from tasks.cli import EXIT_BAD_INPUT, EXIT_OK, EXIT_REFUSED, EXIT_UNDECIDED, Answer
from tasks.commands.onboard import EXIT_CODES, prepare_home
from tasks.domain.errors import InvalidInputError, ProofhouseError
from tasks.domain.finding import RiskTier, Verdict
from tasks.dropping import Result, Run, Taking, open_place
from tasks.intake.drops import Patience
from tasks.settings import read_settings


def once_answer(drop: str, *, settle: float, battery: str | None, tier: str | None) -> Answer:
    """Makes one pass over the drops and says what became of each."""
    with _taking(drop, settle=settle, battery=battery, tier=tier) as taking:
        results = list(taking.one_pass())
    document = {"drops": [result.model_dump(mode="json") for result in results]}
    return Answer(document, [_line(one) for one in results] or ["no drops"], exit_code(results))


def watch_answer(
    drop: str, *, every: float, settle: float, battery: str | None, tier: str | None
) -> Answer:
    """Makes a pass every so many seconds until interrupted; tells what is new on stderr."""
    told: dict[str, Result] = {}
    with _taking(drop, settle=settle, battery=battery, tier=tier) as taking:
        try:
            while True:
                _tell_news(taking, told)
                time.sleep(every)
        except KeyboardInterrupt:
            typer.echo("stopping", err=True)
    counts = Counter(result.state for result in told.values())
    return Answer({"drops": dict(counts)}, [f"{state}: {n}" for state, n in sorted(counts.items())])


def _tell_news(taking: Taking, told: dict[str, Result]) -> None:
    """Makes one pass; a place that does not answer now is looked at again the next time."""
    try:
        for result in taking.one_pass():
            if told.get(result.name) != result:
                typer.echo(_line(result), err=True)
            told[result.name] = result
    except ProofhouseError as error:
        typer.echo(f"looking again later: {error.message}", err=True)


def exit_code(results: list[Result]) -> int:
    """Returns the worst: failed before refused or poison, before review, before accepted."""
    codes = [EXIT_CODES[Verdict(one.verdict)] for one in results if one.verdict]
    states = {one.state for one in results}
    if "failed" in states:
        return EXIT_BAD_INPUT
    if "poison" in states or EXIT_REFUSED in codes:
        return EXIT_REFUSED
    return EXIT_UNDECIDED if EXIT_UNDECIDED in codes else EXIT_OK


@contextlib.contextmanager
def _taking(drop: str, *, settle: float, battery: str | None, tier: str | None) -> Iterator[Taking]:
    from tasks.runtime import services  # noqa: PLC0415

    if tier is not None and tier not in set(RiskTier):
        raise InvalidInputError(f"tier {tier!r} is unknown. Choose low, medium or high.")
    place = open_place(drop)
    home = read_settings().home
    prepare_home(home)
    with contextlib.ExitStack() as stack:
        yield Taking(
            place=place,
            store=services().store,
            run=_runner(stack, home, battery=battery, tier=tier),
            scratch=home.resolve() / "scratch",
            patience=Patience(settle=timedelta(seconds=settle)),
        )


def _runner(
    stack: contextlib.ExitStack, home: Path, *, battery: str | None, tier: str | None
) -> Run:
    """Returns what onboards a path; server and workers start with the first one."""
    started = False

    def run(path: Path) -> dict[str, Any]:
        nonlocal started
        from tasks.commands.onboard import check_arguments, run_onboarding  # noqa: PLC0415
        from tasks.orchestration import prefect_api  # noqa: PLC0415 - only who runs a flow pays

        check_arguments(path, battery=battery, tier=tier)
        if not started:
            from tasks.runtime import start_workers, wind_down  # noqa: PLC0415

            stack.enter_context(prefect_api(home, meanwhile=start_workers))
            stack.callback(wind_down)
            started = True
        return run_onboarding(path, battery=battery, tier=tier)

    return run


def _line(result: Result) -> str:
    more = " ".join(filter(None, (result.verdict, result.run, result.reason)))
    return f"{result.state:<10} {result.name}  {more}".rstrip()
