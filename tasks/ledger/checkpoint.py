"""Checkpoints: signed heads of the log, one for every size it ever had.

A checkpoint holds the hash of its last entry and the peaks of the tree before it. That is the
inclusion proof of the entry, and from it follow all subtrees that end there: every node of the
tree is found in one checkpoint, so proofs cost O(log n) reads and no tree is stored beside the log.
"""

import base64
from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationError
from securesystemslib.signer import Signer

from tasks.domain.frozen import Frozen
from tasks.ledger.envelope import Moment, read_envelope, sign_envelope, verify_envelope
from tasks.ledger.merkle import add_leaf, fold_peaks, node_hash
from tasks.ledger.rejections import BadBase64Error, MalformedError
from tasks.ledger.statement import moment_of
from tasks.ledger.strict_json import decode_base64, parse_canonical
from tasks.ledger.trust import Trust

PAYLOAD_TYPE = "application/vnd.proofhouse.checkpoint+json"
MOST_BYTES = 64 << 10


def _is_hash(text: str) -> str:
    try:
        data = decode_base64(text, place="hash")
    except BadBase64Error as error:
        raise ValueError(error.message) from error
    if len(data) != 32:
        raise ValueError("a hash has 32 bytes")
    return text


Hash = Annotated[str, AfterValidator(_is_hash)]
"""32 bytes in base64."""


class Checkpoint(Frozen):
    """The head of a log of ``size`` entries.

    ``leaf`` is the hash of entry ``size - 1``, ``peaks`` those of the tree before it, left to
    right. ``dated`` repeats the last entry's date, so that no clock is read here.
    """

    origin: str
    size: int = Field(ge=1, lt=10**12)
    root: Hash
    leaf: Hash
    peaks: tuple[Hash, ...]
    dated: str

    @classmethod
    def after(
        cls, peaks: tuple[bytes, ...], size: int, leaf: bytes, *, origin: str, dated: str
    ) -> Self:
        """Builds the head after ``leaf`` joins a log of ``size`` entries with ``peaks``."""
        return cls(
            origin=origin,
            size=size + 1,
            root=_text(fold_peaks(add_leaf(peaks, size, leaf))),
            leaf=_text(leaf),
            peaks=tuple(map(_text, peaks)),
            dated=dated,
        )

    @property
    def root_hash(self) -> bytes:
        """The root over all entries."""
        return base64.b64decode(self.root)

    @property
    def leaf_hash(self) -> bytes:
        """The hash of the last entry."""
        return base64.b64decode(self.leaf)

    def all_peaks(self) -> tuple[bytes, ...]:
        """Returns the peaks of the tree with the last entry in it."""
        return add_leaf(tuple(map(base64.b64decode, self.peaks)), self.size - 1, self.leaf_hash)

    def subtree(self, level: int) -> bytes:
        """Returns the complete subtree of ``1 << level`` leaves that ends with the last entry.

        Raises:
            ValueError: ``size`` is no multiple of that.
        """
        if self.size % (1 << level):
            raise ValueError(f"no subtree of level {level} ends at size {self.size}")
        merged = self.leaf_hash
        for peak in reversed(self.peaks[len(self.peaks) - level :]):
            merged = node_hash(base64.b64decode(peak), merged)
        return merged


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> bytes:
    """Returns the signed bytes of ``checkpoint``."""
    return sign_envelope(checkpoint.canonical(), payload_type=PAYLOAD_TYPE, signer=signer)


def read_checkpoint(data: bytes, *, size: int, trust: Trust | None, place: str) -> Checkpoint:
    """Reads the checkpoint of ``size`` entries, and verifies its signature when trust is given.

    Raises:
        EvidenceError: One of :mod:`tasks.ledger.rejections`.
    """
    if trust is None:
        payload = read_envelope(
            data, payload_type=PAYLOAD_TYPE, place=place, most_bytes=MOST_BYTES
        ).payload
    else:
        payload = verify_envelope(
            data,
            payload_type=PAYLOAD_TYPE,
            trust=trust,
            dated=_moment,
            place=place,
            most_bytes=MOST_BYTES,
        ).payload
    checkpoint = _parse(payload, place)
    if checkpoint.size != size:
        raise MalformedError(f"{place} is the checkpoint of size {checkpoint.size}")
    return checkpoint


def _parse(payload: bytes, place: str) -> Checkpoint:
    value = parse_canonical(payload, place=place)
    try:
        checkpoint = Checkpoint.model_validate(value)
    except ValidationError as error:
        raise MalformedError(
            f"{place} is no checkpoint ({error.error_count()} mistakes)"
        ) from error
    before = checkpoint.size - 1
    if len(checkpoint.peaks) != before.bit_count():
        raise MalformedError(f"{place}: {before} entries have {before.bit_count()} peaks")
    if fold_peaks(checkpoint.all_peaks()) != checkpoint.root_hash:
        raise MalformedError(f"{place}: the root does not follow from peaks and leaf")
    return checkpoint


def _moment(payload: bytes) -> Moment:
    checkpoint = _parse(payload, "a checkpoint")
    return Moment(moment_of(checkpoint.dated, place="a checkpoint"), at_latest=True)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
