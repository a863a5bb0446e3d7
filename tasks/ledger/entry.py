"""Entries of the log and the names of everything that the ledger claims in a store."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, ValidationError

from tasks.domain.digest import PATTERN, Digest, DigestField
from tasks.domain.frozen import Frozen
from tasks.domain.run import RunRecord
from tasks.ledger.merkle import leaf_hash
from tasks.ledger.rejections import MalformedError
from tasks.ledger.strict_json import parse_canonical

ORIGIN = "ledger/origin"
ENTRIES = "ledger/entries/"
CHECKPOINTS = "ledger/checkpoints/"
LEAVES = "ledger/leaves/"
STATEMENTS = "statements/"
RUNS = "runs/"
RECORDS = "records/"
APPROVALS = "approvals/"
PROMOTIONS = "promotions/"
NIGHTS = "nights/"
CASE_CLOSINGS = "case-closings/"

_CLAIMS = {
    "run": RUNS, "approval": APPROVALS, "promotion": PROMOTIONS, "night": NIGHTS,
    "case": CASE_CLOSINGS,
}  # fmt: skip
_MOST_BYTES = 64 << 10
_DIGEST = re.compile(PATTERN)
_INDEX = re.compile(r"0|[1-9][0-9]{0,11}")


class Entry(Frozen):
    """One line of the log: a statement about a run, approval, promotion, night or case exists."""

    schema_: Literal["proofhouse.entry/1"] = Field(default="proofhouse.entry/1", alias="schema")
    kind: Literal["run", "approval", "promotion", "night", "case"] = "run"
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    statement: DigestField
    dated: str

    @classmethod
    def of(cls, record: RunRecord, statement: Digest) -> Self:
        """Builds the entry of a run."""
        return cls(name=record.run, statement=statement, dated=record.sealed)

    @property
    def claim(self) -> str:
        """The claim that leads to the statement."""
        return _CLAIMS[self.kind] + self.name

    @property
    def leaf(self) -> bytes:
        """The hash of the entry in the tree."""
        return leaf_hash(self.canonical())


class Sealed(Frozen):
    """Where the evidence of a run lies: the envelope's digest and its place in the log."""

    statement: DigestField
    ledger_index: int = Field(ge=0)


def entry_name(index: int) -> str:
    """Returns the claim of entry ``index``."""
    return f"{ENTRIES}{index:012d}"


def checkpoint_name(size: int) -> str:
    """Returns the claim of the checkpoint over ``size`` entries."""
    return f"{CHECKPOINTS}{size:012d}"


def leaf_name(leaf: bytes) -> str:
    """Returns the claim that tells the index of a leaf."""
    return LEAVES + leaf.hex()


def read_entry(data: bytes, *, place: str) -> Entry:
    """Reads an entry.

    Raises:
        MalformedError: It is none.
    """
    value = parse_canonical(data, place=place, most_bytes=_MOST_BYTES)
    try:
        return Entry.model_validate(value)
    except ValidationError as error:
        raise MalformedError(f"{place} is no ledger entry: {_first(error)}") from error


def read_sealed(data: bytes, *, place: str) -> Sealed:
    """Reads what ``runs/<run>`` claims.

    Raises:
        MalformedError: Something else is claimed there.
    """
    value = parse_canonical(data, place=place, most_bytes=_MOST_BYTES)
    try:
        return Sealed.model_validate(value)
    except ValidationError as error:
        raise MalformedError(f"{place} names no sealed run: {_first(error)}") from error


def read_digest(data: bytes, *, place: str) -> Digest:
    """Reads a claim that holds one digest.

    Raises:
        MalformedError: It holds something else.
    """
    text = data.decode("ascii", errors="replace")
    if not _DIGEST.fullmatch(text):
        raise MalformedError(f"{place} holds no digest")
    return Digest(text)


def read_index(data: bytes, *, place: str) -> int:
    """Reads a claim that holds one index.

    Raises:
        MalformedError: It holds something else.
    """
    text = data.decode("ascii", errors="replace")
    if not _INDEX.fullmatch(text):
        raise MalformedError(f"{place} holds no index")
    return int(text)


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
