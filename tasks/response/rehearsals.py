"""Where drills are kept: results as signed objects, improvement items until somebody closes them.

``drills/<result>`` claims the digest of the signed result, ``drills/<result>/answers`` of what it
was made from; ``improvements/<item>`` holds the item, and ``improvements/<item>/closed`` who closed
it and why. All write-once.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

from pydantic import AwareDatetime, StringConstraints, ValidationError
from securesystemslib.signer import Signer

from tasks.domain.digest import Digest
from tasks.domain.drill import Answers, DrillResult, Improvement
from tasks.domain.errors import InvalidInputError, ProofhouseError
from tasks.domain.frozen import Frozen
from tasks.domain.live_drill import LiveResult
from tasks.ledger.entry import read_digest
from tasks.ledger.envelope import Moment, sign_envelope, verify_envelope
from tasks.ledger.trust import Trust
from tasks.store.protocol import ObjectStore

DRILLS, ITEMS = "drills/", "improvements/"
PAYLOAD_TYPE = "application/vnd.proofhouse.drill+json"
LIVE_TYPE = "application/vnd.proofhouse.live-drill+json"
LIVE, EVIDENCE = "live/", "/evidence/"
"""Live-fire results are claimed as ``drills/live/<drill>/<result>``, what they rest on below it."""


class Closing(Frozen):
    """Why an item needs no more work."""

    by: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    reason: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    at: AwareDatetime


class Item(NamedTuple):
    """One improvement and whether it was made."""

    improvement: Improvement
    closing: Closing | None

    def overdue(self, now: datetime) -> bool:
        """Whether it is open after its day."""
        return self.closing is None and now.date() > self.improvement.due


def keep_result(
    result: DrillResult, answers: Answers, *, store: ObjectStore, signer: Signer
) -> Digest:
    """Signs and keeps a result, its answers and items; repeatable. Returns the envelope's digest.

    The first to be kept under a result's name counts.
    """
    envelope = sign_envelope(result.canonical(), payload_type=PAYLOAD_TYPE, signer=signer)
    digest = store.put(envelope).digest
    if not store.claim(DRILLS + result.name, digest.encode()):
        place = DRILLS + result.name
        digest = read_digest(store.claimed(place) or b"", place=place)
    store.claim(f"{DRILLS}{result.name}/answers", store.put(answers.canonical()).digest.encode())
    for item in result.improvements:
        store.claim(ITEMS + item.name, item.canonical())
    return digest


def longest_ago(drills: Sequence[str], held: Mapping[str, datetime]) -> str:
    """Returns which of some drills was never held, or held longest ago; of equals the first.

    Raises:
        InvalidInputError: There is no drill at all.
    """
    if not drills:
        raise InvalidInputError("the catalog has no drill")
    never = datetime.min.replace(tzinfo=UTC)
    return min(drills, key=lambda drill: (held.get(drill, never), drill))


def tabletops_held(store: ObjectStore) -> dict[str, datetime]:
    """Returns when each tabletop drill was held last."""
    held: dict[str, datetime] = {}
    for name in store.claims(DRILLS):
        if name.endswith("/answers"):
            digest = read_digest(store.claimed(name) or b"", place=name)
            answers = Answers.parse(store.get(digest))
            held[answers.drill] = max(answers.held, held.get(answers.drill, answers.held))
    return held


def keep_live(result: LiveResult, *, store: ObjectStore, signer: Signer) -> Digest:
    """Signs and keeps the result of a live-fire drill and its items; returns the envelope's digest.

    What it rests on (cases, telemetry) is named in it by digest and must be in ``store`` already.
    """
    envelope = sign_envelope(result.canonical(), payload_type=LIVE_TYPE, signer=signer)
    digest = store.put(envelope).digest
    place = f"{DRILLS}{LIVE}{result.drill}/{result.name}"
    if not store.claim(place, digest.encode()):
        digest = read_digest(store.claimed(place) or b"", place=place)
    for name, kept in result.evidence.items():
        # Claimed, so that it is known to belong to somebody when others are swept away.
        store.claim(f"{place}{EVIDENCE}{name}", kept.encode())
    for item in result.improvements:
        store.claim(ITEMS + item.name, item.canonical())
    return digest


def live_results(store: ObjectStore, trust: Trust, drill: str) -> list[LiveResult]:
    """Returns every kept result of a live-fire drill whose signature counts, the latest last.

    One that does not verify, or was kept by another version of this program, is left out: it is
    for ``verify`` to say so, not for a comparison.
    """
    found = []
    for claim in store.claims(f"{DRILLS}{LIVE}{drill}/"):
        if EVIDENCE in claim:
            continue
        try:
            digest = read_digest(store.claimed(claim) or b"", place=claim)
            opened = verify_envelope(
                store.get(digest), payload_type=LIVE_TYPE, trust=trust, dated=_held, place=claim
            )
            found.append(LiveResult.parse(opened.payload))
        except (ProofhouseError, ValidationError):
            continue
    return sorted(found, key=lambda one: one.held)


def last_live(store: ObjectStore, trust: Trust, drill: str) -> LiveResult | None:
    """Returns the latest kept result of a live-fire drill, or None."""
    return next(reversed(live_results(store, trust, drill)), None)


def _held(payload: bytes) -> Moment:
    return Moment(LiveResult.parse(payload).held)


def items(store: ObjectStore) -> Iterator[Item]:
    """Yields every improvement ever found, by id."""
    for name in store.claims(ITEMS):
        if name.endswith("/closed"):
            continue
        closed = store.claimed(f"{name}/closed")
        yield Item(
            Improvement.parse(store.claimed(name) or b""),
            Closing.parse(closed) if closed is not None else None,
        )


def close_item(store: ObjectStore, name: str, closing: Closing) -> Item:
    """Closes an item.

    Raises:
        InvalidInputError: There is none of this id, or it was closed before.
    """
    found = next((one for one in items(store) if one.improvement.name == name), None)
    if found is None:
        raise InvalidInputError(f"no improvement is called {name!r}. List: proofhouse drills items")
    if not store.claim(f"{ITEMS}{name}/closed", closing.canonical()):
        by = found.closing.by if found.closing else "somebody else"
        raise InvalidInputError(f"{name} was closed by {by} already.")
    return Item(found.improvement, closing)
