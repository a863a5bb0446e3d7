"""A vendor as a third party that is known, watched, and may be suspended."""

import re
import unicodedata
from enum import StrEnum

from tasks.domain.frozen import Frozen

_GAPS = re.compile(r"[\W_]+")


class VendorState(StrEnum):
    """Where a vendor stands. Bundles of the last two are refused."""

    PROSPECTIVE = "prospective"
    APPROVED = "approved"
    SUSPENDED = "suspended"
    OFFBOARDED = "offboarded"


BARRED = frozenset({VendorState.SUSPENDED, VendorState.OFFBOARDED})
"""States in which nothing of a vendor is taken in."""


class VendorView(Frozen):
    """What intake must know of the register to judge one bundle.

    ``owners`` maps the fingerprint of a bound key to the vendor's key; ``known`` holds the keys of
    all registered vendors, so that a key file named after one of them belongs to it.
    """

    state: VendorState = VendorState.PROSPECTIVE
    reason: str = ""
    owners: dict[str, str] = {}
    known: frozenset[str] = frozenset()


def vendor_key(name: str) -> str:
    """Returns the one spelling of a vendor's name: ``Acme  Vision`` becomes ``acme-vision``.

    Compatibility characters, letter case, spaces and punctuation make no other vendor, so that a
    suspended one does not come back by writing its name differently.
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    return _GAPS.sub("-", folded).strip("-") or "unnamed"
