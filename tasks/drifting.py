"""Comparing tables night after night: sketches are kept, the series goes on, a run is planned.

What becomes evidence are sketches (counts, digests of the files, few rows), never the tables.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.catalog.reading import Catalog, entry_digest
from tasks.catalog.resolving import plan_checks
from tasks.checks.drift.pair import CURRENT, REFERENCE, WATCH
from tasks.code import code_digest
from tasks.detectors.drift.sketch import Layout, Sketch, dumped, empty, loaded, merged
from tasks.detectors.drift.watch import Watch, advanced, opened
from tasks.domain.bundle import (
    BundleSpec,
    DataSpec,
    DataSpecs,
    FileEntry,
    ModelSpec,
    Subject,
    Vendor,
)
from tasks.domain.digest import Digest, digest_of, digest_of_file, hexadecimal, is_digest
from tasks.domain.errors import InvalidInputError
from tasks.domain.frozen import canonical_json
from tasks.domain.spec import DRIFT, RunPlan
from tasks.forms import Demands, TableRoles
from tasks.intake.comparison import SURVEYED_FILES, Roles, count, partitions, plan, survey
from tasks.onboarding import Planned, next_attempt
from tasks.runtime import services
from tasks.scoring import accepted_subject, answered, counted_rows, layout_of
from tasks.store.protocol import ObjectStore

OWNER = "Drift watch"
SEED = 20_260_101
"""Which rows a sketch keeps never depends on settings: equal files give equal sketches."""


class Tables(NamedTuple):
    """The two sketches of a comparison, by digest, and the series they belong to."""

    reference: Digest
    current: Digest
    series: str
    demands: Demands = Demands()


Counted = Callable[[tuple[Path, ...], Digest], Digest]
"""Counts files in the cells of a kept sketch of no rows, wherever it likes; returns a sketch."""


def tables(
    reference: str, current: str, roles: TableRoles, *, counted: Counted | None = None
) -> Tables:
    """Counts both tables and keeps their sketches.

    Args:
        reference: A data file, a folder of them, or the digest of a kept sketch.
        current: A data file, or a folder of them.
        roles: Which columns are labels and predictions, and the name of the series.
        counted: Counts files elsewhere; in this process when left out.

    Raises:
        InvalidInputError: A table cannot be read; the message says why.
    """
    counted = counted or count_here
    if roles.model:
        return _answered_tables(reference, current, roles)
    baseline = _reference(reference, roles, counted)
    cells = keep(empty(kept(baseline).layout))
    files = partitions(Path(current))
    return Tables(
        baseline, counted(files, cells), _series(reference, baseline, roles), roles.demands
    )


def count_here(files: tuple[Path, ...], cells: Digest) -> Digest:
    """Counts files in this process, one by one; returns the digest of the sum."""
    here = services()
    layout = kept(cells).layout
    total = empty(layout)
    for file in files:
        total = merged(total, count(file, layout, here.sandbox, seed=SEED))
    return keep(total)


def summed(digests: Iterable[Digest]) -> Digest:
    """Adds kept sketches up; returns the digest of the sum."""
    first, *others = [kept(digest) for digest in digests]
    for other in others:
        first = merged(first, other)
    return keep(first)


def take_in_tables(found: Tables) -> Digest:
    """Adds the night to its series and describes the comparison; returns the subject's digest."""
    store = services().store
    state = _next_state(found, store)
    files = {REFERENCE: found.reference, CURRENT: found.current, WATCH: state}
    name = found.series
    subject = Subject(
        spec=BundleSpec(
            schema_="proofhouse.bundle/1",
            vendor=Vendor(name=OWNER, contact="this installation"),
            model=ModelSpec(
                kind="dataset",
                name=name,
                version=f"reference-{hexadecimal(found.reference)[:12]}",
                task="classification",
                intended_use="counts of two tables that are compared",
            ),
            data=DataSpecs(training=DataSpec(path=REFERENCE), evaluation=DataSpec(path=CURRENT)),
        ),
        files=tuple(
            FileEntry(path=path, digest=digest, size_bytes=len(store.get(digest)))
            for path, digest in sorted(files.items())
        ),
    )
    return store.put(subject.canonical()).digest


def plan_drift(subject: Digest) -> Planned:
    """Plans the run of a comparison; one that ended with errors is planned as a new attempt."""
    here = services()
    described = Subject.parse(here.store.get(subject))
    catalog = Catalog()
    policy = catalog.policy(
        policy_of(*(kept(_file(described, name)) for name in (REFERENCE, CURRENT)))
    )
    battery = catalog.battery(policy.battery)
    return next_attempt(
        RunPlan(
            bundle=subject,
            asset=described.spec.asset,
            tier=policy.tier,
            battery=battery.id,
            battery_digest=entry_digest(battery),
            policy=policy.id,
            policy_digest=entry_digest(policy),
            occasion=DRIFT,
            checks=plan_checks(
                catalog,
                battery.id,
                described,
                code=code_digest(),
                sandbox=here.sandbox.level,
                seed=here.settings.seed,
                thresholds={
                    rule.check: rule.threshold
                    for rule in policy.rules
                    if rule.threshold is not None
                },
            ),
        )
    )


def policy_of(reference: Sketch, current: Sketch) -> str:
    """Returns which policy judges: by what came along, so that all it allows is asked."""
    if not reference.layout.reading.predictions:
        return "drift.inputs"
    if int(reference.answered.sum()) and int(current.answered.sum()):
        return "drift.labelled"
    sure = np.count_nonzero(reference.answered) > 1
    return "drift.unlabelled" if sure else "drift.outputs"


def keep(sketch: Sketch) -> Digest:
    """Stores a sketch and returns its digest."""
    return services().store.put(dumped(sketch)).digest


def kept(digest: Digest) -> Sketch:
    """Returns a stored sketch.

    Raises:
        InvalidInputError: The digest is of something else, or of nothing.
    """
    store = services().store
    if not store.has(digest):
        raise InvalidInputError(f"There is no sketch {digest} here. Give the data instead.")
    try:
        return loaded(store.get(digest))
    except ValueError as error:
        raise InvalidInputError(
            f"{digest} is no sketch of a table. Give the data instead."
        ) from error


def _answered_tables(reference: str, current: str, roles: TableRoles) -> Tables:
    """Has an accepted model answer both tables, and counts inputs and outputs."""
    subject = accepted_subject(roles.model)
    if is_digest(reference):
        baseline = Digest(reference)
        layout = kept(baseline).layout
    else:
        rows = answered(partitions(Path(reference)), subject, labels=roles.labels)
        layout = layout_of(rows)
        baseline = keep(counted_rows(rows, layout, seed=SEED))
    rows = answered(partitions(Path(current)), subject, labels=roles.labels)
    now = keep(counted_rows(rows, layout, seed=SEED))
    return Tables(baseline, now, (roles.series or roles.model)[:150], roles.demands)


def _series(reference: str, baseline: Digest, roles: TableRoles) -> str:
    if roles.series:
        return roles.series
    named = hexadecimal(baseline)[:12] if is_digest(reference) else Path(reference).resolve().stem
    return named[:150]


def _reference(reference: str, roles: TableRoles, counted: Counted) -> Digest:
    """Returns the sketch of the reference: named, known from an earlier night, or counted now."""
    if is_digest(reference):
        digest = Digest(reference)
        kept(digest)
        return digest
    store, files = services().store, partitions(Path(reference))
    name = _claim_name(files, roles)
    claimed = store.claimed(name)
    if claimed is not None and store.has(Digest(claimed.decode())):
        return Digest(claimed.decode())
    layout = _layout(files, roles)
    digest = counted(files, keep(empty(layout)))
    store.claim(name, digest.encode())
    return Digest((store.claimed(name) or digest.encode()).decode())


def _layout(files: tuple[Path, ...], roles: TableRoles) -> Layout:
    step = -(-len(files) // SURVEYED_FILES)
    surveys = [survey(file, services().sandbox)[0] for file in files[::step]]
    return plan(surveys, Roles(labels=roles.labels, predictions=tuple(roles.predictions)))


def _claim_name(files: tuple[Path, ...], roles: TableRoles) -> str:
    """Names the reference of these bytes, read in this way by this code."""
    told = {
        "files": sorted(digest_of_file(file) for file in files),
        "labels": roles.labels,
        "predictions": list(roles.predictions),
        "code": code_digest(),
    }
    return f"sketches/{hexadecimal(digest_of(canonical_json(told)))}"


def _next_state(found: Tables, store: ObjectStore) -> Digest:
    """Returns the state of the series with this night in it, and makes it the latest.

    States are kept under write-once names with rising numbers; whoever comes second starts again
    from the winner's.
    """
    folder = f"watches/{hexadecimal(digest_of(found.series.encode()))[:32]}"
    reference, current = kept(found.reference), kept(found.current)
    while True:
        names = list(store.claims(f"{folder}/"))
        states = [Digest((store.claimed(name) or b"").decode()) for name in names]
        latest = Watch.parse(store.get(states[-1])) if states else None
        watch = latest
        if watch is None or watch.reference != found.reference:
            watch = opened(
                reference,
                found.reference,
                series=found.series,
                alpha=found.demands.alpha,
                tolerance=found.demands.tolerance,
                risk_tolerance=found.demands.risk_tolerance,
                after=latest,
            )
        if (at := watch.place(found.current)) is not None:
            # Counted before: the same run. Every state holds one night more than the last.
            return states[at - len(watch.nights)]
        following = advanced(watch, current, found.current, states[-1] if states else None)
        digest = store.put(following.canonical()).digest
        if store.claim(f"{folder}/{len(names):06d}", digest.encode()):
            return digest


def _file(subject: Subject, path: str) -> Digest:
    entry = subject.file(path)
    if entry is None:
        raise InvalidInputError(f"The subject has no {path}: it is no comparison of two tables.")
    return Digest(entry.digest)
