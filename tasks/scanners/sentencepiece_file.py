"""SentencePiece models: a protocol buffer of word pieces and two sets of settings.

Source: sentencepiece ``sentencepiece_model.proto`` (field numbers in the code).
"""

from tasks.domain.severity import Severity
from tasks.scanners.inspection import Inspection
from tasks.scanners.reading import View
from tasks.scanners.wire import BYTES, FIXED32, BrokenMessage, fields

_TOP = {1, 2, 3, 4, 5}  # pieces, trainer_spec, normalizer_spec, self_test_data, denormalizer_spec
_FIRST = 16


def looks_like_sentencepiece(view: View) -> bool:
    """Answers whether the first fields are pieces: a text, a score, perhaps a kind."""
    if view.head(1) != b"\x0a":
        return False
    try:
        for index, field in enumerate(fields(view)):
            if index == _FIRST:
                break
            inner = {each.number: each.kind for each in fields(field.payload, most=8)}
            if (field.number, field.kind) != (1, BYTES) or inner.get(1) != BYTES:
                return index > 0 and field.number in _TOP
            if inner.get(2) != FIXED32:
                return False
    except BrokenMessage:
        return False
    return True


def inspect_sentencepiece(view: View, inspection: Inspection) -> str:
    """Follows every field, so that nothing is left between, behind or broken."""
    try:
        for index, field in enumerate(fields(view)):
            if not index % 4096:
                inspection.budget.check_clock()
            if field.number not in _TOP or field.kind != BYTES:
                text = f"field {field.number} is no part of a SentencePiece model"
                inspection.note("sentencepiece.malformed", Severity.MEDIUM, text)
            for _ in fields(field.payload):
                pass
    except BrokenMessage as reason:
        inspection.note("sentencepiece.malformed", Severity.MEDIUM, str(reason))
    return "sentencepiece"
