"""What is wrong with one sealed run: every function yields problems, none raises for bad evidence.

A problem names the object or claim and says what is wrong with it.
"""

import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from tasks.domain.digest import Digest
from tasks.domain.errors import ProofhouseError
from tasks.domain.run import Reference, RunRecord
from tasks.ledger.entry import (
    RECORDS,
    RUNS,
    STATEMENTS,
    Entry,
    Sealed,
    checkpoint_name,
    entry_name,
    leaf_name,
    read_digest,
    read_entry,
    read_sealed,
)
from tasks.ledger.envelope import verify_envelope
from tasks.ledger.rejections import LedgerError
from tasks.ledger.statement import (
    PAYLOAD_TYPE,
    SUBJECT_NAME,
    Statement,
    read_statement,
    statement_moment,
)
from tasks.ledger.strict_json import parse_strict
from tasks.ledger.trust import Trust
from tasks.ledger.view import LogView, read_capped
from tasks.store.protocol import ObjectStore

_IN_MEMORY_BYTES = 16 << 20


class Examiner:
    """Examines runs of one store. Objects that several runs share are read once.

    Attributes:
        referenced: Every digest that an examined run stands on.
        notes: What the store says about versions of those objects, and runs about clocks;
            flagged, no failure.
    """

    def __init__(self, store: ObjectStore, trust: Trust, *, scratch: Path) -> None:
        self.referenced: set[Digest] = set()
        self.notes: list[str] = []
        self._store = store
        self._trust = trust
        self._scratch = scratch
        self._objects: dict[tuple[Digest, str | None], int | str] = {}

    def run_problems(self, run: str, view: LogView, size: int) -> Iterator[str]:
        """Yields what is wrong with ``run``, given a log of ``size`` entries."""
        try:
            sealed = self._sealed(run)
            self.referenced.add(sealed.statement)
            statement = self._statement(run, sealed)
        except ProofhouseError as error:
            yield error.message
            return
        told = statement.record.clocks
        self.notes.extend(f"{run}: clocks disagreed, {who}: {how}" for who, how in told.items())
        yield from self._identity(run, statement)
        yield from self._side_claims(run, sealed, statement.record)
        yield from self._references(statement)
        yield from self._coverage(statement.record)
        try:
            self._verify_logged(Entry.of(statement.record, sealed.statement), sealed, view, size)
        except (ProofhouseError, ValidationError) as error:
            yield str(error)

    def object_problems(self, digests: Iterable[Digest], what: str) -> Iterator[str]:
        """Yields what is wrong with objects that ``what`` refers to."""
        for digest in digests:
            if problem := self._object(digest):
                yield f"{problem} ({what})"

    def _sealed(self, run: str) -> Sealed:
        data = self._store.claimed(RUNS + run)
        if data is None:
            raise LedgerError(
                f"{RUNS}{run} is missing: the run was never sealed, or its claim is lost"
            )
        return read_sealed(data, place=RUNS + run)

    def _statement(self, run: str, sealed: Sealed) -> Statement:
        place = f"{sealed.statement} (statement of {run})"
        opened = verify_envelope(
            read_capped(self._store, sealed.statement, scratch=self._scratch),
            payload_type=PAYLOAD_TYPE,
            trust=self._trust,
            dated=statement_moment,
            place=place,
        )
        self._audit(sealed.statement)
        return read_statement(opened.payload, place=place)

    def _identity(self, run: str, statement: Statement) -> Iterator[str]:
        record = statement.record
        if record.run != run:
            yield (
                f"{RUNS}{run} leads to the statement of {record.run} about {record.subject}: "
                "two runs were swapped, subject digest mismatch"
            )

    def _side_claims(self, run: str, sealed: Sealed, record: RunRecord) -> Iterator[str]:
        """Compares what earlier steps claimed for the run with what was sealed."""
        name = STATEMENTS + run
        data = self._store.claimed(name)
        if data is not None and data != sealed.statement.encode():
            yield f"{name} holds {data[:80]!r}, sealed was {sealed.statement}"
        name = RECORDS + run
        data = self._store.claimed(name)
        if data is None:
            return
        try:
            digest = read_digest(data, place=name)
            self.referenced.add(digest)
            if RunRecord.parse(read_capped(self._store, digest, scratch=self._scratch)) != record:
                yield f"{name} leads to {digest}, which is another record than the sealed one"
        except ProofhouseError as error:
            yield error.message
        except ValidationError:
            yield f"{name} leads to {digest}, which is no run record"

    def _references(self, statement: Statement) -> Iterator[str]:
        record = statement.record
        listed = {reference.digest for reference in record.objects}
        for reference in record.objects:
            if problem := self._object(reference.digest, reference):
                yield problem
        for name, digest in statement.subjects.items():
            if digest not in listed and (problem := self._object(digest)):
                yield f"{problem} (subject {name!r})"
        yield from self._files(statement)

    def _files(self, statement: Statement) -> Iterator[str]:
        """Compares the files that the statement names with those of the subject object."""
        stated = {k: v for k, v in statement.subjects.items() if k != SUBJECT_NAME}
        listed = self._subject_files(statement.record.subject)
        if listed is None:
            return
        if stated and stated != listed:
            path, digest = min(set(stated.items()) ^ set(listed.items()))
            yield f"{statement.record.subject} and the statement differ about {path} ({digest})"

    def _subject_files(self, digest: Digest) -> dict[str, Digest] | None:
        """Returns the files that the subject object lists, by path; None when it lists none.

        Read as plain JSON: a subject of another release may have fields that this one lacks.
        """
        try:
            subject = parse_strict(
                read_capped(self._store, digest, scratch=self._scratch), place=digest
            )
            rows = subject["files"]
            return {str(row["path"]): Digest(str(row["digest"])) for row in rows}
        except (ProofhouseError, KeyError, TypeError):
            return None  # named elsewhere when damaged; its shape is not the ledger's business

    def _coverage(self, record: RunRecord) -> Iterator[str]:
        listed = {reference.digest for reference in record.objects}
        for finding in record.findings:
            for digest in finding.evidence:
                if digest not in listed:
                    yield f"{digest}, evidence of {finding.check}, is not among the run's objects"
                    yield from filter(None, [self._object(digest)])
        for execution in record.executions:
            if execution.measurement not in listed:
                yield (
                    f"{execution.measurement}, measurement of {execution.check}, is not among the "
                    "run's objects"
                )

    def _verify_logged(self, entry: Entry, sealed: Sealed, view: LogView, size: int) -> None:
        index = sealed.ledger_index
        if index >= size:
            size = view.size(size)  # the run may have been sealed since the size was read
        if index >= size:
            raise LedgerError(
                f"{RUNS}{entry.name} is entry {index} of the log, but its newest checkpoint covers "
                f"{size}: the log was rolled back or its end removed"
            )
        place = entry_name(index)
        data = self._store.claimed(place)
        if data is None:
            raise LedgerError(f"{place} is missing: the entry of {entry.name} was dropped")
        if read_entry(data, place=place) != entry:
            raise LedgerError(f"{place} is not the entry of {entry.name} and {entry.statement}")
        # The entry's own checkpoint vouches for its place; the head must still contain it.
        if view.checkpoint(index + 1).leaf_hash != entry.leaf:
            raise LedgerError(f"{checkpoint_name(index + 1)} was signed for another entry")
        view.verify_inclusion(entry.leaf, index, size)
        place = leaf_name(entry.leaf)
        if self._store.claimed(place) != str(index).encode():
            raise LedgerError(f"{place} does not lead to entry {index}")

    def _object(self, digest: Digest, reference: Reference | None = None) -> str:
        """Returns what is wrong with a stored object, or nothing."""
        role = f" ({reference.role})" if reference else ""
        found = self._size_or_problem(digest, reference)
        if isinstance(found, str):
            return found + role
        if reference and found != reference.size_bytes:
            return f"{digest} has {found} bytes, the record says {reference.size_bytes}{role}"
        return ""

    def _size_or_problem(self, digest: Digest, reference: Reference | None) -> int | str:
        key = (digest, reference.version if reference else None)
        if key not in self._objects:
            self.referenced.add(digest)
            try:
                expected = reference.size_bytes if reference else 0
                self._objects[key] = self._read(*key, expected)
                self._audit(digest)
            except ProofhouseError as error:
                self._objects[key] = f"{digest}: {error.message}"
        return self._objects[key]

    def _read(self, digest: Digest, version: str | None, expected_bytes: int) -> int:
        """Reads an object against its digest; returns its size. Large ones in constant memory."""
        if version is not None or expected_bytes <= _IN_MEMORY_BYTES:
            return len(self._store.get(digest, version=version))
        path = self._scratch / uuid.uuid4().hex
        try:
            self._store.fetch(digest, path)
            return path.stat().st_size
        finally:
            path.unlink(missing_ok=True)

    def _audit(self, digest: Digest) -> None:
        audit = getattr(self._store, "audit", None)  # only versioned stores have something to say
        if audit is not None:
            self.notes.extend(audit(digest))
