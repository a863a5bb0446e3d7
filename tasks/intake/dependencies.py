"""A bundle's dependencies, judged: names that imitate others, unusual sources, loose versions."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tasks.domain.errors import InvalidInputError
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.bom_component import LIBRARY, Bom
from tasks.intake.dependency import Dependency, Listing, Oddity, exactly
from tasks.intake.lookalikes import lookalike
from tasks.intake.names import shown
from tasks.intake.requirements import read_dependencies

_MOST_NAMED = 8
_MOST_EACH = 50
_ODD: dict[str, tuple[str, Severity, str]] = {
    "plain_transport": ("plain_transport", Severity.HIGH,
                        "is fetched without encryption, or from a host whose name is not checked"),
    "index": ("foreign_index", Severity.MEDIUM,
              "names another index, so any package may come from there"),
    "direct": ("direct_source", Severity.MEDIUM, "is fetched from an address, whatever lies there"),
    "version_control": ("direct_source", Severity.MEDIUM,
                        "is fetched from a repository at a state that can move"),
    "local": ("direct_source", Severity.MEDIUM, "is a file or folder, installed as it lies there"),
    "elsewhere": ("elsewhere", Severity.MEDIUM, "is a list outside the bundle"),
    "direct_fixed": ("fixed_source", Severity.LOW, "is fetched from an address, fixed by hash"),
    "version_control_fixed": ("fixed_source", Severity.LOW,
                              "is fetched from a repository, fixed by commit"),
    "unreadable": ("unreadable_line", Severity.LOW, "cannot be understood as a requirement"),
}  # fmt: skip


class Dependencies(NamedTuple):
    """Every package that the bundle declares, and what is wrong with the declaring."""

    declared: tuple[Dependency, ...]
    observations: tuple[Observation, ...]


def judge_dependencies(
    documents: Sequence[tuple[str, bytes]], bom: Bom | None, *, bom_path: str = ""
) -> Dependencies:
    """Reads every dependency file and the BOM's libraries.

    Args:
        documents: Path and bytes of each dependency file.
        bom: The bill of materials, when one could be read.
        bom_path: Where the BOM lies.
    """
    found: list[Observation] = []
    declared: list[Dependency] = []
    for path, data in documents:
        try:
            listing = read_dependencies(data, path)
        except InvalidInputError as error:
            found.append(_observed("unreadable", Severity.MEDIUM, error.message, path))
            continue
        declared += listing.dependencies
        found += _oddities(listing)
        found += _loose(listing, path)
    packages = list(_packages(bom, bom_path))
    found += _imitations([*declared, *packages])
    found += _bom_gaps(declared, packages, bom, bom_path)
    every = (*declared, *packages)
    if documents or packages:
        names = len({item.name for item in every})
        detail = f"{names} packages in {len(documents)} files" + (
            " and the BOM" if packages else ""
        )
        found.append(_observed("declared", Severity.INFO, detail, ""))
    return Dependencies(every, tuple(found))


def _oddities(listing: Listing) -> Iterator[Observation]:
    for item in listing.oddities[:_MOST_EACH]:
        kind = item.kind if item.text.isascii() else "unreadable"
        rule, severity, what = _ODD[kind]
        if not item.text.isascii():
            rule, severity = "look_alike", Severity.HIGH
            what = "holds letters of another alphabet, which no package name has"
        yield _observed(rule, severity, f"{shown(item.text, 120)} {what}", item.place)
    if len(listing.oddities) > _MOST_EACH:
        detail = f"{len(listing.oddities) - _MOST_EACH} more such lines"
        yield _observed("unreadable_line", Severity.MEDIUM, detail, "")


def _loose(listing: Listing, path: str) -> Iterator[Observation]:
    unpinned = [item.name for item in listing.dependencies if not item.pinned]
    if unpinned:
        detail = f"{len(unpinned)} packages have no one version: {_some(unpinned)}"
        yield _observed("unpinned", Severity.LOW, detail, path)
    unhashed = [item.name for item in listing.dependencies if not item.hashed]
    if unhashed:
        detail = f"{len(unhashed)} packages are not fixed by hash: {_some(unhashed)}"
        yield _observed("unhashed", Severity.LOW, detail, path)


def _imitations(declared: Sequence[Dependency]) -> Iterator[Observation]:
    places: dict[str, str] = {}
    for item in declared:
        places.setdefault(item.name, item.place)
    for name, place in places.items():
        if (near := lookalike(name)) is not None:
            severity = Severity.MEDIUM if near.close else Severity.LOW
            detail = f"{shown(name, 80)} is not {near.known}, but {near.how}"
            yield _observed("look_alike", severity, detail, place)


def _packages(bom: Bom | None, path: str) -> Iterator[Dependency]:
    for item in bom.components if bom else ():
        package = item.package if item.kind == LIBRARY else None
        if package is None or not package[1]:
            continue
        found = exactly(*package, path, hashed=bool(item.digests))
        if not isinstance(found, Oddity):
            yield found


def _bom_gaps(
    declared: Sequence[Dependency], packages: Sequence[Dependency], bom: Bom | None, path: str
) -> Iterator[Observation]:
    """Holds the BOM's packages against the dependency files."""
    if bom is None or not declared:
        return
    listed = {item.name: item for item in packages}
    unnamed = {item.name.lower() for item in bom.components if item.kind == LIBRARY}
    for item in declared:
        known = listed.get(item.name)
        if known and item.pinned and known.pinned != item.pinned:
            detail = (
                f"{item.place} pins {item.name} {item.pinned}, "
                f"the BOM says {shown(known.pinned, 40)}"
            )
            yield _of_bom("dependency_mismatch", Severity.MEDIUM, detail, path)
    missing = sorted({i.name for i in declared} - set(listed) - unnamed)
    if missing:
        detail = f"{len(missing)} declared packages are not in the BOM: {_some(missing)}"
        yield _of_bom("undeclared_dependencies", Severity.LOW, detail, path)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(shown(name, 60) for name in names[:_MOST_NAMED]) + more


def _of_bom(rule: str, severity: Severity, detail: str, location: str) -> Observation:
    return Observation(
        rule=f"provenance.bom.{rule}", severity=severity, detail=detail[:2000], location=location
    )


def _observed(rule: str, severity: Severity, detail: str, location: str) -> Observation:
    return Observation(
        rule=f"provenance.dependencies.{rule}",
        severity=severity,
        detail=detail[:2000],
        location=shown(location, 400),
    )
