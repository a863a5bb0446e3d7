"""Looks through a data file for what points at people. Runs only in the sandbox child.

What comes back are counts by column and kind, never a value: evidence must not hold what the scan
was looking for.
"""

import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from tasks.detectors.data.identifiers import identifiers_in, is_card
from tasks.detectors.data.person_names import has_person_name
from tasks.sandbox.protocol import Reply

MOST_COLUMNS = 2000
MOST_CELLS = 2_000_000
"""Wide tables are read for fewer rows, so that the scan ends within a minute or two."""
LONGEST_NAME = 80
PERSON = "person"
"""The kind that a full name in a text is; all others are patterns with a plan or a check digit."""
NAMED: dict[str, str] = {
    "name": r"(^|_)(first|last|full|given|family|sur|middle|maiden|patient|customer|client|person|"
    r"employee|user)_?names?$|^(name|nom|nombre|vorname|nachname|surname|forename)$",
    "email": r"e_?mail",
    "phone": r"(^|_)(phone|mobile|tele(ph|f)on\w*|cell|fax|handy)(_|$)|phone_?(no|number)",
    "address": r"(^|_)(street|address|adresse|addr|house_?n\w*)(_|$)",
    "national id": r"(^|_)(ssn|social_?security\w*|passport\w*|tax_?id|nin|nino|driver_?licen\w+|"
    r"national_?id|steuer_?id|personal_?id)(_|$)",
    "account": r"(^|_)(iban|account_?(no|number)|card_?(no|number)|credit_?card)(_|$)",
    "birth date": r"(^|_)(dob|birth_?da(te|y)|date_?of_?birth|geburtsdatum)(_|$)",
    "record id": r"(^|_)(user|customer|client|patient|person|member|employee|case|account)_?"
    r"(id|no|number|key)$",
}
_NAMED = {kind: re.compile(pattern) for kind, pattern in NAMED.items()}
_DATE = re.compile(r"^(\d{4})-(\d{2})-(\d{2})(?:$|[T ])")


def identifier_scan(*, path: str, most_rows: int) -> Reply:
    """Returns what each column of a table or text file holds.

    Args:
        path: CSV, TSV, Parquet, JSON lines, plain text or NPZ.
        most_rows: Rows looked at; the rest is counted as unseen.

    Returns:
        ``values["rows"]``, ``values["flagged_rows"]`` (with any pattern), ``values["named_rows"]``
        (with a full name in a text) and ``values["columns"]``: a list of name, filled, distinct
        (at most), kinds (pattern to rows), named (kind or empty), oldest and newest ISO dates.
        ``values["problem"]`` says why nothing could be read.
    """
    try:
        columns, rows, flagged, named = _scanned(rows_of(Path(path), most_rows))
    except Exception as error:  # noqa: BLE001 - parsers of hostile files raise anything
        return Reply({}, {"problem": type(error).__name__, "rows": 0, "columns": []})
    return Reply(
        {},
        {
            "problem": "",
            "rows": rows,
            "flagged_rows": flagged,
            "named_rows": named,
            "columns": [column.told() for column in columns.values()],
        },
    )


class Column:
    """Counts of one column."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.filled = 0
        self.kinds: dict[str, int] = {}
        self.long_numbers = 0
        self.dates: list[str] = []
        self._seen: set[int] = set()

    def add(self, cell: str) -> set[str]:
        """Counts one cell; returns which kinds were in it."""
        if not cell:
            return set()
        self.filled += 1
        self._seen.add(hash(cell))
        found = identifiers_in(cell)
        digits = cell.removesuffix(".0")
        if digits.isascii() and digits.isdigit() and 13 <= len(digits) <= 19:
            self.long_numbers += 1
            if is_card(digits):
                found.add("card")
        if has_person_name(cell):
            found.add(PERSON)
        if "version" in self.name.lower():
            found.discard("ip")
        for kind in found:
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if (stated := _DATE.match(cell)) and _is_date(*stated.groups()):
            self.dates = sorted({*self.dates, cell[:10]})
            self.dates = [self.dates[0], self.dates[-1]]
        return found

    def told(self) -> dict[str, Any]:
        """Returns the counts as JSON values; chance hits among long numbers are left out."""
        kinds = dict(self.kinds)
        # One long number in ten has a right check digit and some have an issuer's first digits.
        if self.long_numbers and kinds.get("card", 0) < 0.5 * self.long_numbers:
            kinds.pop("card", None)
        return {
            "name": self.name[:LONGEST_NAME],
            "filled": self.filled,
            "distinct": len(self._seen),
            "kinds": kinds,
            "named": named_kind(self.name),
            "oldest": self.dates[0] if self.dates else "",
            "newest": self.dates[-1] if self.dates else "",
        }


def named_kind(name: str) -> str:
    """Returns what a column is by its name, or nothing."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    plain = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")
    return next((kind for kind, pattern in _NAMED.items() if pattern.search(plain)), "")


def _scanned(rows: Iterator[dict[str, str]]) -> tuple[dict[str, Column], int, int, int]:
    columns: dict[str, Column] = {}
    count = flagged = named = cells = 0
    for row in rows:
        count += 1
        cells += len(row)
        hits: set[str] = set()
        for name, cell in list(row.items())[:MOST_COLUMNS]:
            hits |= columns.setdefault(name, Column(name)).add(cell)
        flagged += bool(hits - {PERSON})
        named += PERSON in hits
        if cells >= MOST_CELLS:
            break
    return columns, count, flagged, named


def rows_of(path: Path, most: int) -> Iterator[dict[str, str]]:
    """Yields the first rows of a table or text file, every cell as text."""
    with path.open("rb") as stream:
        start = stream.read(4)
    suffix = path.suffix.lower()
    if start == b"PAR1":
        yield from _from_parquet(path, most)
    elif start[:2] == b"PK":
        yield from _from_npz(path, most)
    elif suffix in {".csv", ".tsv"}:
        yield from _from_csv(path, most, "\t" if suffix == ".tsv" else ",")
    else:
        yield from _from_lines(path, most)


def _from_csv(path: Path, most: int, separator: str) -> Iterator[dict[str, str]]:
    import csv  # noqa: PLC0415 - beside the reader that needs it

    csv.field_size_limit(1 << 20)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        for at, row in enumerate(csv.DictReader(stream, delimiter=separator)):
            if at >= most:
                return
            yield {str(name): value for name, value in row.items() if isinstance(value, str)}


def _from_parquet(path: Path, most: int) -> Iterator[dict[str, str]]:
    import pyarrow.parquet  # noqa: PLC0415 - half a second, only for tables

    left = most
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=4096):
            for row in batch.to_pylist()[:left]:
                yield {name: "" if value is None else str(value) for name, value in row.items()}
            left -= len(batch)
            if left <= 0:
                return


def _from_npz(path: Path, most: int) -> Iterator[dict[str, str]]:
    import numpy as np  # noqa: PLC0415

    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        for name in archive.files:
            array = archive[name]
            # Floats and pictures hold no identifiers; text and long whole numbers may.
            if array.dtype.kind in "US" or (array.dtype.kind in "iu" and array.dtype.itemsize == 8):
                for row in array.reshape(len(array), -1)[:most] if array.ndim else ():
                    yield {name: " ".join(str(value) for value in row[:MOST_COLUMNS])}


def _from_lines(path: Path, most: int) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", errors="replace") as stream:
        for at, line in enumerate(iter(lambda: stream.readline(1 << 20), "")):
            if at >= most:
                return
            yield _fields(line)


def _fields(line: str) -> dict[str, str]:
    try:
        row = json.loads(line) if line.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        return {"text": line.strip()}
    return {
        str(name): value if isinstance(value, str) else json.dumps(value)
        for name, value in row.items()
        if value is not None
    }


def _is_date(year: str, month: str, day: str) -> bool:
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return 1900 <= int(year) <= 2100
