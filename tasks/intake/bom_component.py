"""What a bill of materials says, whatever its format: components with bytes, licences, facts."""

import re
from typing import NamedTuple

MODEL, DATA, FILE, LIBRARY, OTHER = "model", "data", "file", "library", "other"
MOST_COMPONENTS = 10_000
# Names of hashes as hashlib knows them, without dashes and case.
STRONG = frozenset(
    {"sha256", "sha384", "sha512", "sha3256", "sha3384", "sha3512", "blake2b256", "blake2b384",
     "blake2b512"}
)  # fmt: skip
WEAK = frozenset({"md5", "sha1"})
_HEX = re.compile(r"[0-9a-fA-F]{32,128}")
_PYPI = re.compile(r"pkg:pypi/([A-Za-z0-9._\-]{1,200})(?:@([A-Za-z0-9.+!_\-%]{1,100}))?(?:[?#].*)?")


class Licence(NamedTuple):
    """A licence as it was written; ``is_spdx`` when given as SPDX identifier or expression."""

    text: str
    is_spdx: bool


class Component(NamedTuple):
    """The parts of a component that can be held against bytes or against other papers.

    ``digests`` are pairs of algorithm (``sha256``) and lower-case hex; ``facts`` are pairs of key
    and value as the component states them.
    """

    kind: str
    name: str
    version: str = ""
    path: str = ""
    digests: frozenset[tuple[str, str]] = frozenset()
    licences: tuple[Licence, ...] = ()
    purl: str = ""
    facts: tuple[tuple[str, str], ...] = ()

    def hexes(self, algorithm: str = "sha256") -> frozenset[str]:
        """Returns the digests of one algorithm."""
        return frozenset(value for name, value in self.digests if name == algorithm)

    @property
    def package(self) -> tuple[str, str] | None:
        """Name and version of the Python package that the component is, if its purl says so."""
        match = _PYPI.fullmatch(self.purl[:500])
        return (match[1], match[2] or self.version) if match else None


class Bom(NamedTuple):
    """A bill of materials: format with version, components, and notes about the reading."""

    format: str
    components: tuple[Component, ...]
    notes: tuple[str, ...] = ()


def digest_pair(algorithm: object, value: object) -> tuple[str, str] | None:
    """Returns a usable pair of algorithm and hex, or None."""
    name = re.sub(r"[^a-z0-9]", "", str(algorithm).lower())
    text = str(value)
    usable = name in STRONG | WEAK and _HEX.fullmatch(text) is not None
    return (name, text.lower()) if usable else None
