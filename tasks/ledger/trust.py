"""Which keys count, and when: pure decisions over public keys and what was said about them.

A retired key has a ``not_after``: what it signed before still verifies. A revoked key is one that
somebody else may hold: nothing it signed counts, whatever date the signature claims.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints
from securesystemslib.signer import Key

from tasks.domain.frozen import Frozen
from tasks.ledger.rejections import EarlyKeyError, ExpiredKeyError, RevokedKeyError


class KeyStanding(Frozen):
    """What is said about one key. A missing date is no limit."""

    keyid: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    not_before: AwareDatetime | None = None
    not_after: AwareDatetime | None = None
    revoked: bool = False
    note: str = ""


class TrustFile(Frozen):
    """The whole of ``trusted/trust.json``."""

    schema_: Literal["proofhouse.trust/1"] = Field(alias="schema")
    keys: tuple[KeyStanding, ...]


class Trust:
    """The public keys that may sign evidence. Empty trust accepts nothing."""

    def __init__(self, keys: Iterable[Key], standings: Iterable[KeyStanding] = ()) -> None:
        self.keys: dict[str, Key] = {key.keyid: key for key in keys}
        self.standings: dict[str, KeyStanding] = {row.keyid: row for row in standings}

    def key(self, keyid: str) -> Key | None:
        """Returns the key of this id, or None when it is not trusted."""
        return self.keys.get(keyid)

    def verify_standing(
        self, keyid: str, *, signed: datetime, place: str, at_latest: bool = False
    ) -> None:
        """Refuses a key that was not in force at the moment ``signed``.

        Args:
            keyid: Which key.
            signed: The moment the signed document claims.
            place: The object or claim, for messages.
            at_latest: ``signed`` is only an earliest moment (a checkpoint is signed some time
                after its last entry), so a key that came into force later is fine.

        Raises:
            RevokedKeyError: Revoked, whenever.
            ExpiredKeyError: Dated after the key's last moment.
            EarlyKeyError: Dated before the key's first moment.
        """
        row = self.standings.get(keyid)
        if row is None:
            return
        if row.revoked:
            raise RevokedKeyError(
                f"{place} is signed by {keyid}, which is revoked {row.note}".strip()
            )
        if row.not_after is not None and signed > row.not_after:
            raise ExpiredKeyError(
                f"{place} is dated {signed.isoformat()}, its key {keyid} expired "
                f"{row.not_after.isoformat()}"
            )
        if row.not_before is not None and signed < row.not_before and not at_latest:
            raise EarlyKeyError(
                f"{place} is dated {signed.isoformat()}, its key {keyid} is valid from "
                f"{row.not_before.isoformat()}"
            )
