"""Does the data that came along name people, directly or by more than it needs?"""

from typing import Any, NamedTuple

from tasks.checks.lab import Lab, NotAvailable
from tasks.detectors.data.identifiers import identifiers_in
from tasks.detectors.data.person_names import has_person_name
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Control, Measurement, Observation, Status
from tasks.domain.severity import Severity
from tasks.statistics.intervals import binomial

CHECK, VERSION = "privacy.identifiers", 2
SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson", ".npz", ".txt")
MOST_FILES = 50
DIRECT = {"name", "email", "phone", "address", "national id", "account"}
COLUMN_SHARE = 0.1
"""A pattern in so many of a column's cells is what the column is for."""
DISTINCT_SHARE = 0.5
"""A column of ids tells most rows apart."""
PLANTED = {
    "email": "write to jane.doe@clinic.example",
    "phone": "call +49 30 1234567",
    "iban": "GB82 WEST 1234 5698 7654 32",
    "card": "paid with 4111-1111-1111-1111",
    "ssn": "his number is 219-09-9999",
    "ip": "seen from 8.8.8.8",
}
PLANTED_NAMES = (
    "the report was signed by Dr. Okonkwo",
    "my name is Wilhelmina Achterberg and I live here",
    "yesterday Michael Brightwater called again",
)
INNOCENT = (
    "order 1234567890123456 of 2024-05-17",
    "version 10.4.2 costs 12,300.50",
    "at 192.168.0.1 or 127.0.0.1",
    "the ratio is 000-00-0000 and GB00 1234",
    "see section 555-12 @ home",
    "the University of New South Wales is in Sydney",
    "Dear Customer, please call the Support Team on Monday",
    "Victoria Station and Madison Avenue are busy in May",
)


class Looked(NamedTuple):
    """One file and what its columns hold."""

    path: str
    rows: int
    flagged: int
    named: int
    columns: list[dict[str, Any]]
    problem: str


def measure(lab: Lab) -> Measurement:
    """Scans every data file for identifiers, and for more than the purpose needs."""
    paths = _data_files(lab)
    if not paths:
        raise NotAvailable("the bundle has no data file that could name anybody")
    lab.admit(*paths)
    looked = [_looked(lab, path) for path in paths]
    observations = [seen for file in looked for seen in _seen(lab, file)]
    rows = sum(file.rows for file in looked)
    if not rows:
        raise NotAvailable(
            f"no row could be read: {'; '.join(f'{file.path} ({file.problem})' for file in looked)}"
        )
    share = _share(sum(file.flagged for file in looked), rows)
    names = _share(sum(file.named for file in looked), rows)
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=f"{rows} rows in {len(looked)} files: {share.value:.2%} hold an e-mail address, "
        "telephone, account, card or social security number or a public network address, "
        f"{names.value:.2%} seem to name a person in a text.",
        estimates={"rows_with_identifier": share, "rows_with_name": names},
        observations=tuple(observations),
        controls=_controls(),
        alarms=tuple(f"{file.path} could not be read" for file in looked if file.problem),
        limits=(
            "Names in texts are found by titles, introductions and common given names only.",
            "Pictures and sound are not looked at.",
            f"At most {lab.count('rows')} rows of each file were read.",
        ),
        method="patterns with check digits and numbering plans; column names; counts only, no "
        "value leaves the sandbox",
        facts={file.path: file.rows for file in looked},
        cost=lab.cost,
    )


def _data_files(lab: Lab) -> list[str]:
    spec = lab.subject.spec
    named = {data.path for data in (spec.data.evaluation, spec.data.training) if data}
    papers = {path for path in spec.documents.model_dump().values() if path}
    papers |= {spec.model.artifact, spec.model.architecture, "bundle.yaml"}
    more = {
        entry.path
        for entry in lab.subject.files
        if entry.path.lower().endswith(SUFFIXES) and entry.path not in papers
    }
    there = {entry.path for entry in lab.subject.files}
    return sorted((named | more) & there)[:MOST_FILES]


def _looked(lab: Lab, path: str) -> Looked:
    reply = lab.run(
        "detectors.data.identifier_scan", path=str(lab.path(path)), most_rows=lab.count("rows")
    ).values
    return Looked(
        path,
        int(reply["rows"]),
        int(reply.get("flagged_rows", 0)),
        int(reply.get("named_rows", 0)),
        list(reply["columns"]),
        str(reply["problem"]),
    )


def _share(hits: int, rows: int) -> Estimate:
    return binomial(min(hits, rows), rows)


def _seen(lab: Lab, file: Looked) -> list[Observation]:
    found: list[Observation] = []
    for column in file.columns:
        found += _patterns(file, column)
        found += _by_name(file, column)
        found += _too_old(file, column, lab.number("retention_years"))
    return found + _unneeded(lab, file)


def _patterns(file: Looked, column: dict[str, Any]) -> list[Observation]:
    return [
        Observation(
            rule=f"privacy.identifiers.{kind}",
            severity=_how_bad(kind, hits, column["filled"]),
            detail=f"{hits} of {column['filled']} cells hold {_spoken(kind)}",
            location=_place(file, column),
        )
        for kind, hits in sorted(column["kinds"].items())
    ]


def _how_bad(kind: str, hits: int, filled: int) -> Severity:
    """A column full of a pattern is high; names are a guess and alone refuse nothing."""
    if hits < 3:
        return Severity.LOW
    if hits < COLUMN_SHARE * filled or kind == "person":
        return Severity.MEDIUM
    return Severity.HIGH


def _by_name(file: Looked, column: dict[str, Any]) -> list[Observation]:
    kind = column["named"]
    if not kind or column["distinct"] < 3 or kind in column["kinds"]:
        return []
    if kind == "record id" and column["distinct"] < DISTINCT_SHARE * column["filled"]:
        return []
    return [
        Observation(
            rule=f"privacy.identifiers.{kind.replace(' ', '_')}_column",
            severity=Severity.HIGH if kind in DIRECT else Severity.MEDIUM,
            detail=f"the column is called like a {kind} and has {column['distinct']} different "
            "values",
            location=_place(file, column),
        )
    ]


def _too_old(file: Looked, column: dict[str, Any], years: float) -> list[Observation]:
    """Compares the oldest date with the newest: there is no clock in a measurement."""
    if not column["oldest"] or column["named"] == "birth date":
        return []
    oldest, newest = int(column["oldest"][:4]), int(column["newest"][:4])
    if newest - oldest <= years:
        return []
    return [
        Observation(
            rule="privacy.retention",
            severity=Severity.MEDIUM,
            detail=f"rows reach from {column['oldest']} to {column['newest']}, more than "
            f"{years:g} years: say why the old ones are kept",
            location=_place(file, column),
        )
    ]


def _unneeded(lab: Lab, file: Looked) -> list[Observation]:
    """Names columns that neither vary nor are used: data that no purpose needs."""
    data = lab.subject.spec.data
    spec = next(
        (one for one in (data.evaluation, data.training) if one and one.path == file.path), None
    )
    used = (
        {name.strip() for name in (spec.inputs + "," + spec.labels).split(",")} if spec else set()
    )
    names = {column["name"] for column in file.columns}
    if spec is None or not used <= names or file.path.lower().endswith(".npz"):
        return []
    unused = sorted(names - used)
    if not unused:
        return []
    return [
        Observation(
            rule="privacy.minimisation",
            severity=Severity.LOW,
            detail=f"{len(unused)} columns are neither inputs nor labels: {', '.join(unused[:10])}",
            location=file.path,
        )
    ]


def _controls() -> tuple[Control, ...]:
    caught = {kind for kind, text in PLANTED.items() if kind in identifiers_in(text)}
    named = sum(map(has_person_name, PLANTED_NAMES))
    accused = [text for text in INNOCENT if identifiers_in(text) or has_person_name(text)]
    return (
        Control(
            name="one planted text for each kind",
            planted=True,
            found=caught == set(PLANTED) and named == len(PLANTED_NAMES),
            detail=f"{len(caught)} of {len(PLANTED)} kinds and {named} of {len(PLANTED_NAMES)} "
            "names were found",
        ),
        Control(
            name="innocent numbers and words",
            planted=False,
            found=bool(accused),
            detail=f"{len(accused)} of {len(INNOCENT)} texts were accused",
        ),
    )


def _spoken(kind: str) -> str:
    return {
        "email": "an e-mail address",
        "phone": "a telephone number",
        "iban": "a bank account number",
        "card": "a payment card number",
        "ssn": "a social security number",
        "ip": "a public network address",
        "person": "what seems to be the full name of a person",
    }[kind]


def _place(file: Looked, column: dict[str, Any]) -> str:
    return f"{file.path}: {column['name']}"
