"""Verification from the store and public keys alone: no server, no database, no network."""

import contextlib
import re
from collections.abc import Iterator

from tasks.domain.digest import Digest, DigestField
from tasks.domain.errors import ProofhouseError
from tasks.domain.frozen import Frozen
from tasks.ledger.approvals import held_approvals
from tasks.ledger.cases import closing_problems, closings, evidence_of
from tasks.ledger.entry import ENTRIES, RUNS
from tasks.ledger.examining import Examiner
from tasks.ledger.fsck import Fsck, head_problems
from tasks.ledger.nights import night_problems
from tasks.ledger.promotions import PromotionLog
from tasks.ledger.trust import Trust
from tasks.ledger.view import LogView, scratch_folder
from tasks.ledger.witness import Witness
from tasks.store.protocol import ObjectStore

_WITHOUT_OBJECTS = ("ledger/", RUNS, "beats/", "events/", "night-starts/", "night-places/")
"""Claims that name no object, or only statements, which are referenced already."""
_DIGESTS = re.compile(rb"sha256:[0-9a-f]{64}")


class RunVerification(Frozen):
    """Whether the evidence of one run holds, and what is wrong with it if not."""

    run: str
    ok: bool
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Verification(Frozen):
    """The whole store: ``problems`` are of the log, ``garbage`` is information, no failure.

    ``garbage`` lists objects that no sealed run and no claim refers to: left by interrupted work,
    or belonging to a run that is still under way.
    """

    ok: bool
    runs: tuple[RunVerification, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    garbage: tuple[DigestField, ...] = ()
    ledger_size: int = 0
    ledger_root: str | None = None


def verify_run(
    run: str, store: ObjectStore, trust: Trust, witness: Witness | None = None
) -> RunVerification:
    """Verifies one run: its objects, statement, signature, log entry and the log's head.

    Costs O(log n) reads of a log of n entries, plus the run's objects. Never raises for bad
    evidence.

    Args:
        run: Its id.
        store: Holds objects and claims.
        trust: Public keys that count; empty trust verifies nothing.
        witness: What was seen of the log before; moves on when all is well.
    """
    view = LogView(store, trust)
    with scratch_folder() as scratch:
        examiner = Examiner(store, trust, scratch=scratch)
        try:
            known = witness.seen() if witness else {}
            size = view.size()
            head, problems = head_problems(view, size, known)
            problems += examiner.run_problems(run, view, size)
        except ProofhouseError as error:
            head, problems = None, [error.message]
    if head and witness and not problems:
        _remember(witness, view, head.size)
    return _result(run, problems, examiner.notes)


def verify_all(store: ObjectStore, trust: Trust, witness: Witness | None = None) -> Verification:
    """Verifies every sealed run, every entry and checkpoint of the log, and lists garbage.

    Arguments as in :func:`verify_run`. Never raises for bad evidence.
    """
    try:
        with scratch_folder() as scratch:
            return _verify_all(store, trust, witness, Examiner(store, trust, scratch=scratch))
    except ProofhouseError as error:
        return Verification(ok=False, runs=(), problems=(error.message,))


def _verify_all(
    store: ObjectStore, trust: Trust, witness: Witness | None, examiner: Examiner
) -> Verification:
    view = LogView(store, trust)
    # In this order: whoever seals beside us makes the later ones longer, never the earlier.
    known = witness.seen() if witness else {}
    names = [name.removeprefix(RUNS) for name in store.claims(RUNS)]
    fsck = Fsck(store, view)
    head, problems = head_problems(view, fsck.size, known)
    problems += fsck.problems(set(names))
    doubtful = [held for held in held_approvals(store, trust) if held.problem]
    problems += [held.problem for held in doubtful if held.approval is None]
    problems += _promotion_problems(store, trust, examiner)
    problems += night_problems(store, trust)
    problems += _case_problems(store, trust, examiner)
    runs = tuple(_result(run, list(examiner.run_problems(run, view, fsck.size))) for run in names)
    ok = not problems and all(run.ok for run in runs)
    if head and witness and ok:
        _remember(witness, view, head.size)
    return Verification(
        ok=ok,
        runs=runs,
        problems=tuple(dict.fromkeys(problems)),
        notes=(
            *fsck.notes,
            *examiner.notes,
            *(held.problem for held in doubtful if held.approval is not None),
        ),
        garbage=tuple(sorted(_garbage(store, examiner.referenced))),
        ledger_size=fsck.size,
        ledger_root=head.root if head else None,
    )


def _result(run: str, problems: list[str], notes: list[str] | None = None) -> RunVerification:
    return RunVerification(
        run=run,
        ok=not problems,
        problems=tuple(dict.fromkeys(problems)),
        notes=tuple(notes or ()),
    )


def _promotion_problems(store: ObjectStore, trust: Trust, examiner: Examiner) -> Iterator[str]:
    """Verifies every chain of promotions, and that what the moves stand on is still there."""
    log = PromotionLog(store, trust)
    try:
        models = log.models()
    except ProofhouseError as error:
        yield error.message
        return
    for model in models:
        try:
            links = log.chain(model)
        except ProofhouseError as error:
            yield error.message
            continue
        for link in links:
            move = link.move
            named = (link.statement, *filter(None, [move.signature]), *move.evidence)
            yield from examiner.object_problems(named, f"move {link.promotion.number} of {model}")


def _case_problems(store: ObjectStore, trust: Trust, examiner: Examiner) -> Iterator[str]:
    """Verifies that closed cases are what was signed, and that what they stand on is there."""
    found = list(closings(store, trust))
    yield from (one.problem for one in found if one.problem)
    latest = {one.closing.case: one for one in found if one.closing}
    for one in found:
        if one.closing is None or one.statement is None:
            continue
        last = latest[one.closing.case] is one
        yield from closing_problems(one.closing, store, last=last)
        if last:
            named = (one.statement, *evidence_of(one.closing, store))
            yield from examiner.object_problems(named, one.closing.case)


def _garbage(store: ObjectStore, referenced: set[Digest]) -> Iterator[Digest]:
    stored = set(store.digests()) - referenced
    if not stored:
        return
    claimed = set[bytes]()
    for name in store.claims():
        if not name.startswith(_WITHOUT_OBJECTS) or name.startswith(ENTRIES):
            claimed.update(_DIGESTS.findall(store.claimed(name) or b""))
    yield from (digest for digest in stored if digest.encode() not in claimed)


def _remember(witness: Witness, view: LogView, size: int) -> None:
    # An auditor may verify from a home that cannot be written; the verdict stands all the same.
    with contextlib.suppress(ProofhouseError):
        witness.remember(view.checkpoint(size))
