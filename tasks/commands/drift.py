"""``proofhouse drift``: what the model meets now against what it was judged on."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tasks.cli import Answer
from tasks.commands.onboard import EXIT_CODES, lines, prepare_home
from tasks.commands.progressing import progress_on_stderr
from tasks.commands.wording import visible
from tasks.domain.digest import Digest, is_digest
from tasks.domain.errors import InvalidInputError, PeerError
from tasks.domain.finding import Verdict
from tasks.forms import Demands, TableRoles
from tasks.reports.peer_reports import interpreter_of, peer_report
from tasks.settings import read_settings

RANKED = 12
_WORDS = {
    Verdict.ACCEPTED: "NO DRIFT",
    Verdict.ACCEPTED_WITH_CONDITIONS: "NO DRIFT, WITH CONDITIONS",
    Verdict.NEEDS_REVIEW: "UNDECIDED",
    Verdict.REFUSED: "DRIFT",
}


def drift_answer(
    reference: str,
    current: str,
    said: Mapping[str, Any],
    *,
    peers: Sequence[str] = (),
    quiet: bool = False,
) -> Answer:
    """Compares two tables and describes what moved.

    Args:
        reference: A data file, a folder of them, or the digest of a kept sketch.
        current: A data file, or a folder of them.
        said: Which columns are what, the name of the series and what it may spend, as options.
        peers: Other tools that are to report as well.
        quiet: Only plain lines of progress.

    Raises:
        InvalidInputError: A table is not there or cannot be read, or there is no such peer.
        SettingsError: A peer is not configured.
    """
    from tasks.orchestration import prefect_api  # noqa: PLC0415 - only who runs a flow pays
    from tasks.runtime import start_workers, wind_down  # noqa: PLC0415

    for path in (reference, current):
        if not is_digest(path) and not Path(path).exists():
            raise InvalidInputError(
                f"{path} does not exist. Give a data file, or a folder of them."
            )
    roles = roles_of(said)
    settings = read_settings()
    interpreters = {peer: interpreter_of(peer, settings.peers.model_dump()) for peer in peers}
    if interpreters and is_digest(reference):
        raise InvalidInputError("A peer needs the reference's rows; a sketch has only counts.")
    home = settings.home
    prepare_home(home)
    with (
        prefect_api(home, meanwhile=start_workers),
        progress_on_stderr(f"comparing {Path(current).name} with {reference}", quiet=quiet),
    ):
        from flows.drift import watch_drift  # noqa: PLC0415 - imports Prefect

        before = reference if is_digest(reference) else str(Path(reference).resolve())
        try:
            document: dict[str, Any] = watch_drift(before, str(Path(current).resolve()), roles)
        finally:
            wind_down()
    document["columns"] = ranking(document)
    document["peers"] = [
        _asked(peer, place, reference, current, document) for peer, place in interpreters.items()
    ]
    verdict = Verdict(document["verdict"])
    _, *told = lines(document)
    head = f"{visible(document['asset'])}: {_WORDS[verdict]}"
    told += [*_table(document["columns"]), *map(_peer_line, document["peers"])]
    return Answer(document, [head, *told], EXIT_CODES[verdict])


def _asked(
    peer: str, interpreter: Path, reference: str, current: str, document: dict[str, Any]
) -> dict[str, Any]:
    """Has a peer report on rows of both tables; keeps its page beside ours."""
    from tasks.intake.comparison import partitions, survey  # noqa: PLC0415
    from tasks.runtime import services  # noqa: PLC0415

    here = services()
    tables = [survey(partitions(Path(path))[0], here.sandbox)[0] for path in (reference, current)]
    try:
        report = peer_report(peer, interpreter, *tables)
    except PeerError as error:
        # The run is sealed whatever a peer does.
        return {"tool": peer, "problem": error.message, "columns": [], "report": None}
    page = None
    if report.html is not None:
        page = Path(document["report"]).with_name(f"{document['run']}-{peer}.html")
        page.write_bytes(report.html)
    return {
        "tool": report.tool,
        "version": report.version,
        "columns": [column._asdict() for column in report.columns],
        "report": str(page) if page else None,
    }


def _peer_line(peer: dict[str, Any]) -> str:
    if "problem" in peer:
        return f"{peer['tool']} gave no report: {visible(peer['problem'])}"
    drifted = [visible(row["column"]) for row in peer["columns"] if row["drifted"]]
    named = ", ".join(drifted[:8]) or "no column"
    where = f"; {peer['report']}" if peer["report"] else ""
    return f"{peer['tool']} {peer['version']} says of a sample of rows: {named} drifted{where}"


def roles_of(said: Mapping[str, Any]) -> TableRoles:
    """Returns options as the flow's form takes them.

    Raises:
        InvalidInputError: One of them does not fit; the message names each.
    """
    outputs = tuple(name.strip() for name in said["predictions"].split(",") if name.strip())
    demands = {name: said[name] for name in Demands.model_fields}
    try:
        return TableRoles(
            labels=said["labels"],
            predictions=outputs,
            model=said["model"],
            series=said["series"],
            demands=Demands(**demands),
        )
    except ValidationError as error:
        told = "; ".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors())
        raise InvalidInputError(f"The options do not fit: {told}.") from error


def ranking(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns every compared column of a run, the largest shift first, from its evidence."""
    from tasks.domain.measurement import Measurement  # noqa: PLC0415
    from tasks.runtime import services  # noqa: PLC0415

    store = services().store
    columns: list[dict[str, Any]] = []
    for finding in document["findings"]:
        if finding["check"] not in {"drift.features", "drift.predictions"}:
            continue
        measurement = Measurement.parse(store.get(Digest(finding["evidence"][0])))
        for artifact in measurement.artifacts:
            if artifact.name == "shifts.json":
                columns += json.loads(store.get(artifact.digest))
    return sorted(columns, key=lambda row: (-row["distance"], row["column"]))


def _table(columns: list[dict[str, Any]]) -> list[str]:
    if not columns:
        return []
    told = ["", f"{'column':<28} {'kind':<9} {'shift':>7} {'at least':>9} {'p':>9}  differs"]
    told += [
        f"{visible(row['column'])[:28]:<28} {row['kind']:<9} {row['distance']:>7.3f} "
        f"{row['low']:>9.3f} {row['p_value']:>9.2g}  {'yes' if row['different'] else ''}".rstrip()
        for row in columns[:RANKED]
    ]
    if len(columns) > RANKED:
        told.append(f"and {len(columns) - RANKED} more, see the report")
    return told
