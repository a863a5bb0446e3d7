"""Why signed bytes are not believed: one class and one stable code per reason."""

from typing import ClassVar

from tasks.domain.errors import EvidenceError


class MalformedError(EvidenceError):
    """Not strict JSON of the agreed shape: doubled keys, NaN, huge numbers, too deep, not UTF-8."""

    code: ClassVar[str] = "evidence.malformed"


class TooLargeError(EvidenceError):
    """Longer than anything this version writes; refused before it is read."""

    code: ClassVar[str] = "evidence.too_large"


class BadBase64Error(EvidenceError):
    """Payload or signature is not base64 in its one canonical spelling."""

    code: ClassVar[str] = "evidence.bad_base64"


class WrongTypeError(EvidenceError):
    """The envelope carries another kind of payload than the one asked for."""

    code: ClassVar[str] = "evidence.wrong_type"


class UnsignedError(EvidenceError):
    """The list of signatures is empty."""

    code: ClassVar[str] = "evidence.unsigned"


class DoubledSignatureError(EvidenceError):
    """One key id signs twice, which could count one key as two."""

    code: ClassVar[str] = "evidence.doubled_signature"


class UnknownKeyError(EvidenceError):
    """No trusted key has the id of the only signatures there are."""

    code: ClassVar[str] = "evidence.unknown_key"


class ExtraSignatureError(EvidenceError):
    """Beside a trusted signature stands one by a key that nobody here knows."""

    code: ClassVar[str] = "evidence.extra_signature"


class WrongKeyError(EvidenceError):
    """The signature was made by another trusted key than the one it names."""

    code: ClassVar[str] = "evidence.wrong_key"


class BadSignatureError(EvidenceError):
    """The named key did not sign these bytes."""

    code: ClassVar[str] = "evidence.bad_signature"


class RevokedKeyError(EvidenceError):
    """The key was revoked: nothing that it ever signed counts any more."""

    code: ClassVar[str] = "evidence.revoked_key"


class ExpiredKeyError(EvidenceError):
    """The statement is dated after the last moment of the key."""

    code: ClassVar[str] = "evidence.expired_key"


class EarlyKeyError(EvidenceError):
    """The statement is dated before the first moment of the key."""

    code: ClassVar[str] = "evidence.key_not_yet_valid"


class WrongStatementError(EvidenceError):
    """A signed payload that is no in-toto Statement v1 about a Proofhouse run."""

    code: ClassVar[str] = "evidence.wrong_statement"


class LedgerError(EvidenceError):
    """The log contradicts itself, its checkpoints, or what was seen of it before."""

    code: ClassVar[str] = "evidence.ledger"


class RolledBackError(LedgerError):
    """The log is shorter than it once was."""

    code: ClassVar[str] = "evidence.rolled_back"


class ForkedError(LedgerError):
    """Two heads of the log do not continue one another."""

    code: ClassVar[str] = "evidence.forked"
