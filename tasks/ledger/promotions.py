"""Promotions as evidence: each model's moves are a chain of signed statements, claimed and logged.

Link ``n`` of a model is the claim ``promotions/<model>/<n>``, written once, so of two that promote
at the same moment one wins and the other looks again. Each link names the envelope of the one
before it, and link ``n + 1`` is never written before link ``n`` is logged. A link counts once the
log lists it.
"""

from datetime import datetime
from typing import NamedTuple

from securesystemslib.signer import Signer

from tasks.domain.digest import Digest, digest_of, hexadecimal
from tasks.domain.errors import SigningError
from tasks.domain.promotion import Move, Promotion
from tasks.ledger.about import (
    claimed_statement,
    opened_statement,
    place_of,
    read_about,
    write_about,
)
from tasks.ledger.entry import PROMOTIONS, Entry, leaf_name, read_index
from tasks.ledger.envelope import Moment, sign_envelope
from tasks.ledger.log import Log
from tasks.ledger.rejections import LedgerError
from tasks.ledger.statement import PAYLOAD_TYPE
from tasks.ledger.trust import Trust
from tasks.ledger.witness import Witness
from tasks.store.protocol import ObjectStore

PREDICATE_TYPE = "https://proofhouse.dev/promotion/v1"
SUBJECT_NAME = "proofhouse:subject"


class Link(NamedTuple):
    """One link as it was read and verified; ``ledger_index`` is its entry in the log.

    The index is None while its writer is at it, or when that died.
    """

    promotion: Promotion
    statement: Digest
    keyid: str
    ledger_index: int | None

    @property
    def move(self) -> Move:
        """What changed."""
        return self.promotion.move


class PromotionLog:
    """The chains of a store.

    Args:
        store: Holds claims and envelopes.
        trust: Whose signatures count.
        signer: Signs new links; None reads only.
        witness: Refuses to continue a log that was rolled back or forked.
    """

    def __init__(
        self,
        store: ObjectStore,
        trust: Trust,
        signer: Signer | None = None,
        witness: Witness | None = None,
    ) -> None:
        self._store = store
        self._trust = trust
        self._signer = signer
        self._witness = witness

    def models(self) -> tuple[str, ...]:
        """Returns every model that has a chain.

        Raises:
            EvidenceError: A chain's first link does not verify.
        """
        firsts: dict[str, str] = {}
        for name in self._store.claims(PROMOTIONS):
            firsts.setdefault(name.rpartition("/")[0], name)
        return tuple(sorted(self._link(name).promotion.model for name in firsts.values()))

    def chain(self, model: str) -> tuple[Link, ...]:
        """Returns the links of a model that count, each verified and continuing the one before.

        Raises:
            EvidenceError: A link is missing, changed, unlogged in the middle, or out of place.
        """
        links = self._links(model)
        for link in links[:-1]:
            if link.ledger_index is None:
                raise LedgerError(f"{_name(model, link.promotion.number)} was never logged")
        return links[:-1] if links and links[-1].ledger_index is None else links

    def append(self, model: str, move: Move, *, after: int) -> Link | None:
        """Signs, claims and logs a move as link ``after``; None when somebody else took its place.

        Args:
            model: Whose chain.
            move: What changes.
            after: How many links the caller has seen; its decision rests on exactly those.

        Raises:
            SigningError: There is no key, or it is not trusted here.
            EvidenceError: The chain or the log does not verify.
            StoreError: The store failed; look again, the link may be there.
        """
        signer = self._trusted_signer(move)
        links = self.heal(model)
        if len(links) != after:
            return None
        promotion = Promotion(
            model=model,
            number=after,
            previous=links[-1].statement if links else None,
            move=move,
        )
        payload = write_promotion(promotion)
        envelope = sign_envelope(payload, payload_type=PAYLOAD_TYPE, signer=signer)
        digest = self._store.put(envelope).digest
        if not self._store.claim(PROMOTIONS + _name(model, after), digest.encode()):
            return None
        index = self._log(promotion, digest, signer)
        return Link(promotion, digest, signer.public_key.keyid, index)

    def heal(self, model: str) -> tuple[Link, ...]:
        """Logs the last link when its writer died before it could; returns the whole chain."""
        links = self._links(model)
        if links and links[-1].ledger_index is None:
            if self._signer is None:
                raise SigningError("a link waits to be logged, and there is no key to log it with")
            self._log(links[-1].promotion, links[-1].statement, self._signer)
        return self.chain(model)

    def _links(self, model: str) -> tuple[Link, ...]:
        names = list(self._store.claims(PROMOTIONS + slug_of(model) + "/"))
        links = tuple(self._link(name) for name in names)
        previous = None
        for number, link in enumerate(links):
            told = link.promotion
            if (told.model, told.number, told.previous) != (model, number, previous):
                raise LedgerError(
                    f"{names[number]} does not continue the chain of {model}: a link was removed, "
                    "moved or forked"
                )
            previous = link.statement
        return links

    def _link(self, name: str) -> Link:
        digest = claimed_statement(name, self._store)
        opened = opened_statement(name, digest, self._store, self._trust, _moment)
        promotion = read_promotion(opened.payload, place=place_of(name, digest))
        if PROMOTIONS + _name(promotion.model, promotion.number) != name:
            raise LedgerError(f"{name} leads to link {promotion.number} of {promotion.model}")
        leaf = leaf_name(_entry(promotion, digest).leaf)
        data = self._store.claimed(leaf)
        index = None if data is None else read_index(data, place=leaf)
        return Link(promotion, digest, opened.keyids[0], index)

    def _log(self, promotion: Promotion, statement: Digest, signer: Signer) -> int:
        log = Log(self._store, signer, trust=self._trust, witness=self._witness)
        return log.append(_entry(promotion, statement))

    def _trusted_signer(self, move: Move) -> Signer:
        if self._signer is None:
            raise SigningError("there is no key to sign a promotion with")
        keyid = self._signer.public_key.keyid
        if self._trust.key(keyid) is None:
            raise SigningError(
                f"The key {keyid} is not trusted here, so its promotion would not count. Copy its "
                "public half (PEM) into keys/trusted of this home, then promote again."
            )
        self._trust.verify_standing(keyid, signed=move.issued, place=f"the move of {move.asset}")
        return self._signer


def slug_of(model: str) -> str:
    """Returns the part of claim names that stands for a model."""
    return hexadecimal(digest_of(model.encode()))[:20]


def write_promotion(promotion: Promotion) -> bytes:
    """Returns the canonical JSON of the in-toto statement about a promotion.

    Its subjects are the files that would be deployed: who holds only a model file finds the
    statement by the file's digest.
    """
    move = promotion.move
    named = {SUBJECT_NAME: move.subject} | move.files
    return write_about(promotion, dict(sorted(named.items())), predicate_type=PREDICATE_TYPE)


def read_promotion(payload: bytes, *, place: str) -> Promotion:
    """Reads what :func:`write_promotion` wrote. Raises as :func:`tasks.ledger.about.read_about`."""
    return read_about(payload, Promotion, write_promotion, what="promotion", place=place)


def _moment(payload: bytes) -> Moment:
    moment: datetime = read_promotion(payload, place="the promotion").move.issued
    return Moment(moment)


def _name(model: str, number: int) -> str:
    return f"{slug_of(model)}/{number:06d}"


def _entry(promotion: Promotion, statement: Digest) -> Entry:
    dated = promotion.model_dump(mode="json")["move"]["issued"]
    name = _name(promotion.model, promotion.number)
    return Entry(kind="promotion", name=name, statement=statement, dated=dated)
