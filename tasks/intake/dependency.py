"""What a bundle needs from elsewhere: packages, where they would come from, and how firmly."""

import re
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

MOST_TEXT = 1_000


class Dependency(NamedTuple):
    """One declared package. ``specifier`` is PEP 440 text, ``pinned`` the one version it allows.

    ``hashed`` says that the bytes are fixed, too. ``place`` is file and line.
    """

    name: str
    specifier: str
    pinned: str
    hashed: bool
    place: str

    def allows(self, version: Version) -> bool:
        """Answers whether the declaration lets a version in."""
        return SpecifierSet(self.specifier).contains(version, prereleases=True)


class Oddity(NamedTuple):
    """A line that fetches from an unusual place, or that cannot be understood.

    ``kind`` is one of ``index``, ``plain_transport``, ``direct``, ``version_control`` (both also
    with ``_fixed``, by hash or commit), ``local``, ``elsewhere``, ``unreadable``.
    """

    kind: str
    text: str
    place: str


class Listing(NamedTuple):
    """Everything that one file declares."""

    dependencies: tuple[Dependency, ...] = ()
    oddities: tuple[Oddity, ...] = ()


def declared(text: str, place: str, *, hashed: bool = False) -> Dependency | Oddity:
    """Reads one PEP 508 requirement: a dependency, or what is odd about it."""
    if len(text) > MOST_TEXT:
        return Oddity("unreadable", text[:100], place)
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return direct_source(text, place) or Oddity("unreadable", text, place)
    if requirement.url:
        return direct_source(requirement.url, place) or Oddity("direct", text, place)
    return named(requirement.name, str(requirement.specifier), place, hashed=hashed)


def named(name: str, specifier: str, place: str, *, hashed: bool = False) -> Dependency:
    """Builds a dependency from a name and a PEP 440 specifier that is known to be valid."""
    return Dependency(canonicalize_name(name), specifier, _pinned(specifier), hashed, place)


def exactly(name: str, version: str, place: str, *, hashed: bool) -> Dependency | Oddity:
    """Builds a dependency on one version, as lock files and BOMs name it."""
    return declared(f"{name}=={version}", place, hashed=hashed)


_COMMIT = re.compile(r"@[0-9a-f]{40}(?:#|$)")
_LOCAL = re.compile(r"(?:\.{0,2}/|[A-Za-z]:\\|~|file:)\S*|[\w./\-]+\.(?:whl|tar\.gz|zip)")
_HASH = re.compile(r"#(?:.*&)?sha(?:256|384|512)=[0-9a-f]{64,128}")


def direct_source(text: str, place: str) -> Oddity | None:
    """Says which unusual source a requirement names, or None when it names none."""
    address = text.strip().lower()
    if re.match(r"(?:git|hg|svn|bzr)\+", address):
        if re.match(r"\w+\+http://|git\+git://", address):
            return Oddity("plain_transport", text, place)
        fixed = _COMMIT.search(address) is not None
        return Oddity("version_control_fixed" if fixed else "version_control", text, place)
    if address.startswith(("http://", "ftp://")):
        return Oddity("plain_transport", text, place)
    if address.startswith("https://"):
        fixed = _HASH.search(address) is not None
        return Oddity("direct_fixed" if fixed else "direct", text, place)
    return Oddity("local", text, place) if _LOCAL.fullmatch(text.strip()[:MOST_TEXT]) else None


def _pinned(specifier: str) -> str:
    """Returns the version of a lone ``==`` without wildcard, else nothing."""
    parts = [part.strip() for part in specifier.split(",") if part.strip()]
    if len(parts) != 1 or not parts[0].startswith("==") or parts[0].endswith("*"):
        return ""
    version = parts[0].lstrip("=").strip()
    try:
        Version(version)
    except InvalidVersion:
        return ""
    return version
