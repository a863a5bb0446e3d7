"""Known vulnerabilities of declared packages, from an offline copy of OSV advisories.

The source is a file, a folder or a zip of OSV JSON (schema 1.x), as the database's own dumps come.
Versions are compared as PEP 440 orders them (OSV schema, "affected[].ranges[]", type ECOSYSTEM);
ranges of commits cannot be compared with versions and are passed over.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tasks.domain.errors import InvalidInputError
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.advisory_copy import MOST_BYTES, open_copy
from tasks.intake.cvss import base_severity
from tasks.intake.dependency import Dependency
from tasks.intake.names import shown
from tasks.intake.strict_json import JsonCaps, parse_json

_CAPS = JsonCaps(most_bytes=MOST_BYTES, nodes=2_000_000, depth=40)
_MOST_NAMED = 5
STALE = dt.timedelta(days=30)
_WORDS = {
    "CRITICAL": Severity.CRITICAL, "HIGH": Severity.HIGH, "MODERATE": Severity.MEDIUM,
    "MEDIUM": Severity.MEDIUM, "LOW": Severity.LOW,
}  # fmt: skip


class Affected(NamedTuple):
    """One package that an advisory is about: listed versions, and events of version ranges."""

    name: str
    versions: frozenset[Version]
    ranges: tuple[tuple[tuple[str, Version | None], ...], ...]

    def includes(self, version: Version) -> bool:
        """Answers whether a version is affected (OSV schema, "Evaluation")."""
        return version in self.versions or any(_within(events, version) for events in self.ranges)


class Advisory(NamedTuple):
    """One vulnerability, as far as it concerns Python packages."""

    id: str
    summary: str
    severity: Severity
    affected: tuple[Affected, ...]


class Vulnerability(NamedTuple):
    """A package in one version, and the advisory that is about it."""

    package: str
    version: str
    advisory: str

    def told(self, summary: str) -> str:
        """Returns the sentence that :func:`read_vulnerability` reads back."""
        more = f": {shown(summary, 120)}" if summary else ""
        return f"{self.package} {self.version} is affected by {self.advisory}{more}"


_TOLD = re.compile(r"(\S{1,200}) (\S{1,200}) is affected by ([^\s:]{1,80})(?::.*)?")


def read_vulnerability(item: Observation) -> Vulnerability | None:
    """Returns what an observation of this module says, None when it is about something else."""
    match = _TOLD.fullmatch(item.detail) if item.rule.endswith(".vulnerable") else None
    return Vulnerability(match[1], match[2], match[3]) if match else None


class Source(NamedTuple):
    """Advisories about the packages asked for, and how much was read to find them."""

    advisories: tuple[Advisory, ...]
    documents: int
    newest: dt.date | None
    problems: tuple[str, ...]


def read_advisories(path: Path, names: Iterable[str]) -> Source:
    """Returns the advisories about any of the named packages.

    Args:
        path: A file, folder or zip of OSV JSON.
        names: Package names, in any spelling.

    Raises:
        SettingsError: There is nothing at ``path`` that could be read: the operator's mistake.
    """
    wanted = {canonicalize_name(name) for name in names}
    copy = open_copy(path)
    found: list[Advisory] = []
    problems = [f"{place} is larger than {MOST_BYTES >> 20} MiB" for place in copy.oversized]
    for place, data in copy.about(wanted):
        try:
            found += _advisories(data, place, wanted)
        except InvalidInputError as error:
            problems.append(error.message)
    return Source(tuple(found), copy.documents, copy.newest, tuple(problems))


def advisory_observations(
    source: Source, declared: Sequence[Dependency], *, now: dt.datetime
) -> Iterator[Observation]:
    """Yields every known vulnerability of what is declared, and how good the source is."""
    detail = f"{source.documents} advisories, the newest of {source.newest or 'no known day'}"
    yield _observed("source", Severity.INFO, detail, "")
    if source.newest is None or now.date() - source.newest > STALE:
        detail = f"the newest advisory is of {source.newest}: bring the copy up to date"
        yield _observed("stale", Severity.LOW, detail, "")
    for problem in source.problems[:_MOST_NAMED]:
        yield _observed("unreadable", Severity.LOW, f"an advisory was passed over: {problem}", "")
    for item in _once(declared):
        yield from _vulnerable(item, source.advisories)


def _once(declared: Sequence[Dependency]) -> Iterator[Dependency]:
    seen: set[tuple[str, str]] = set()
    for item in declared:
        if (item.name, item.specifier) not in seen:
            seen.add((item.name, item.specifier))
            yield item


def _vulnerable(item: Dependency, advisories: Sequence[Advisory]) -> Iterator[Observation]:
    about = [
        (each, affected)
        for each in advisories
        for affected in each.affected
        if affected.name == item.name
    ]
    if item.pinned:
        version = Version(item.pinned)
        for each, affected in about:
            if affected.includes(version):
                known = Vulnerability(item.name, item.pinned, each.id)
                yield _observed("vulnerable", each.severity, known.told(each.summary), item.place)
        return
    possible = sorted(
        {each.id for each, affected in about if any(map(item.allows, affected.versions))}
    )
    if possible:
        more = f" and {len(possible) - _MOST_NAMED} more" if len(possible) > _MOST_NAMED else ""
        ids = ", ".join(possible[:_MOST_NAMED])
        asked = item.specifier or "in any version"
        detail = f"{item.name} {asked} lets in versions affected by {ids}{more}"
        yield _observed("possible", Severity.LOW, detail, item.place)


def _advisories(data: bytes, place: str, wanted: set[Any]) -> Iterator[Advisory]:
    value = parse_json(data, place=place, caps=_CAPS)
    for entry in value if isinstance(value, list) else [value]:
        if not isinstance(entry, dict) or entry.get("withdrawn"):
            continue
        affected = tuple(
            found
            for each in _maps(entry.get("affected"))
            if (found := _affected(each)) is not None and found.name in wanted
        )
        if affected:
            yield Advisory(
                shown(str(entry.get("id", "")), 80),
                shown(str(entry.get("summary", "")), 300),
                _severity(entry),
                affected,
            )


def _affected(entry: dict[str, Any]) -> Affected | None:
    package = entry.get("package")
    if not isinstance(package, dict) or str(package.get("ecosystem")).partition(":")[0] != "PyPI":
        return None
    listed = (_version(text) for text in _list(entry.get("versions")))
    ranges = (
        _events(each.get("events"))
        for each in _maps(entry.get("ranges"))
        if each.get("type") in {"ECOSYSTEM", "SEMVER"}
    )
    return Affected(
        canonicalize_name(str(package.get("name", ""))),
        frozenset(version for version in listed if version is not None),
        tuple(events for events in ranges if events),
    )


def _events(value: Any) -> tuple[tuple[str, Version | None], ...]:
    """Returns events in order of version; ``introduced: 0`` (None) comes before all versions.

    At the same version an end comes before a start, so that a reintroduction counts.
    """
    found: list[tuple[str, Version | None]] = []
    for event in _maps(value):
        for kind in ("introduced", "fixed", "last_affected", "limit"):
            text = event.get(kind)
            if kind == "introduced" and text == "0":
                found.append((kind, None))
            elif (version := _version(text)) is not None:
                found.append((kind, version))
    first = Version("0.dev0")
    return tuple(sorted(found, key=lambda item: (item[1] or first, item[0] == "introduced")))


def _within(events: Sequence[tuple[str, Version | None]], version: Version) -> bool:
    inside = False
    for kind, at in events:
        if kind == "limit":
            if at is not None and version >= at:
                return False
        elif kind == "introduced" and (at is None or version >= at):
            inside = True
        elif at is not None and (version >= at if kind == "fixed" else version > at):
            inside = False
    return inside


def _severity(entry: dict[str, Any]) -> Severity:
    """The database's own word, else the CVSS 3 base score, else medium: nobody said."""
    specific = entry.get("database_specific")
    word = str(specific.get("severity", "")).upper() if isinstance(specific, dict) else ""
    if word in _WORDS:
        return _WORDS[word]
    rated = [base_severity(str(each.get("score", ""))) for each in _maps(entry.get("severity"))]
    known = [each for each in rated if each is not None]
    return max(known, key=lambda each: each.rank) if known else Severity.MEDIUM


def _version(text: Any) -> Version | None:
    try:
        return Version(text) if isinstance(text, str) and len(text) < 200 else None
    except InvalidVersion:
        return None


def _maps(value: Any) -> list[dict[str, Any]]:
    return [item for item in _list(value) if isinstance(item, dict)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _observed(rule: str, severity: Severity, detail: str, location: str) -> Observation:
    return Observation(
        rule=f"provenance.advisories.{rule}",
        severity=severity,
        detail=detail[:2000],
        location=location,
    )
