"""Does the data keep what a trusted version of it lets expect, column by column, row by row?"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tasks.checks.data.held import Held, as_json, held_table, observations
from tasks.checks.lab import Lab, NotApplicable, NotAvailable
from tasks.detectors.data.suites import allowed, expected_of
from tasks.domain.bundle import PROFILE
from tasks.domain.digest import hexadecimal
from tasks.domain.errors import InvalidInputError
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Control, Measurement, Status
from tasks.domain.reference import ReferenceProfile
from tasks.intake.profiles import profile_of_files
from tasks.sandbox.protocol import Reply

CHECK, VERSION = "data.expectations", 1
ROLES = ("training", "evaluation")
_LIMITS = (
    "A value that is wrong and usual is not seen; neither is a relation that the profile lacks.",
    "Allowances take rows as independent draws; series and sorted files exceed them sooner.",
)


class Part(NamedTuple):
    """One part of one file, as one worker reads it."""

    role: str
    path: Path
    groups: list[int]
    offset: int


def measure(lab: Lab) -> Measurement:
    """Holds every table that came along against the profile, part by part."""
    profile = _profile(lab)
    parts = _parts(lab, _admitted(lab))
    asking = lab.parts(lambda index: _asked(lab, parts[index], profile), len(parts))
    replies = list(zip(parts, asking, strict=True))
    held = tuple(
        held_table(role, [reply for part, reply in replies if part.role == role], profile)
        for role in dict.fromkeys(part.role for part in parts)
    )
    if all(table.problem for table in held):
        raise NotAvailable("; ".join(f"{table.role}: {table.problem}" for table in held))
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=_detail(held, lab, profile),
        estimates={
            f"{table.role}_broken": Estimate.exact(
                sum(one.broken for one in table.judged) / len(table.judged), n=len(table.judged)
            )
            for table in held
            if table.judged
        },
        observations=tuple(seen for table in held for seen in observations(table)),
        controls=_controls(lab, profile),
        limits=(*_LIMITS, *profile.notes),
        method=f"Great Expectations {_version(replies)} on batches of at most 65,536 rows; counts "
        "of all parts added up, then held against what chance allows",
        facts={
            "profile": profile.digest,
            "expectations": len(expected_of(profile)),
            "parts": len(parts),
        }
        | {f"{table.role}_rows": table.rows for table in held},
        artifacts=(
            lab.keep(
                "profile.json",
                title="Profile of the trusted version",
                media_type="application/json",
                data=profile.canonical(),
            ),
            lab.keep(
                "expectations.json",
                title="Every expectation: rows that break it, rows that may",
                media_type="application/json",
                data=json.dumps([as_json(table) for table in held], sort_keys=True).encode(),
            ),
        ),
        cost=lab.cost,
    )


def measure_part(lab: Lab, index: int) -> Reply:
    """Holds one part, on whichever worker this is."""
    profile = _profile(lab)
    return _asked(lab, _parts(lab, _admitted(lab))[index], profile)


def _profile(lab: Lab) -> ReferenceProfile:
    """Returns the profile that the operator gave, or that of the last accepted version."""
    baseline = lab.subject.baseline
    if baseline is None:
        raise NotApplicable(
            "there is nothing to hold the data against: no version of it was accepted before, and "
            "no profile was given (proofhouse profile, --profile)"
        )
    if lab.subject.file(PROFILE) is not None:
        return ReferenceProfile.parse(lab.path(PROFILE).read_bytes())
    entry = next(e for role in ROLES if (e := baseline.last(role)) is not None)
    name = f"profiles/{VERSION}/{hexadecimal(entry.digest)}"
    if (known := lab.remembered(name)) is not None:
        return ReferenceProfile.parse(known)
    try:
        made = profile_of_files((lab.path(entry.path),), lab.sandbox, name=baseline.asset)
    except InvalidInputError as error:
        raise NotAvailable(f"{baseline.asset} has no profile: {error.message}") from error
    lab.remember(name, made.canonical())
    return made


def _admitted(lab: Lab) -> dict[str, Path]:
    """Lets the child read each table that came; returns where they lie, by role."""
    specs = {role: spec for role in ROLES if (spec := lab.subject.spec.data.of(role)) is not None}
    there = {role: spec for role, spec in specs.items() if lab.subject.file(spec.path) is not None}
    if not there:
        raise NotAvailable("no data came along")
    return dict(zip(there, lab.admit(*(spec.path for spec in there.values())), strict=True))


def _parts(lab: Lab, places: dict[str, Path]) -> list[Part]:
    found = []
    for role, place in places.items():
        told = lab.run("intake.holding.table_parts", path=str(place)).values["parts"]
        found += [Part(role, place, [int(a), int(b)], int(offset)) for a, b, offset in told]
    return found


def _asked(lab: Lab, part: Part, profile: ReferenceProfile) -> Reply:
    reply = lab.run(
        "intake.holding.hold_table",
        path=str(part.path),
        groups=part.groups,
        offset=part.offset,
        profile=profile.model_dump(mode="json"),
    )
    return Reply(reply.arrays, {**reply.values, "passes": 0, "queries": 0})


def _controls(lab: Lab, profile: ReferenceProfile) -> tuple[Control, Control]:
    told = lab.run(
        "intake.known_tables.hold_controls", profile=profile.model_dump(mode="json")
    ).values
    suite, rows = expected_of(profile), int(told["rows"])
    may = {str(at): allowed(one, rows, profile, len(suite)) for at, one in enumerate(suite)}
    found = [at for at, broken in told["planted"].items() if int(broken) > may[at]]
    accused = [at for at, broken in told["clean"].items() if int(broken) > may[at]]
    return (
        Control(
            name="tables spoilt in every way the profile knows",
            planted=True,
            found=len(found) == len(told["planted"]),
            detail=f"{len(found)} of {len(told['planted'])} planted faults were found",
        ),
        Control(
            name="a table that keeps the profile",
            planted=False,
            found=bool(accused),
            detail=f"{len(accused)} of {len(told['clean'])} expectations were called broken",
        ),
    )


def _detail(held: Sequence[Held], lab: Lab, profile: ReferenceProfile) -> str:
    baseline = lab.subject.baseline
    given = lab.subject.file(PROFILE) is not None or baseline is None
    what = f"the profile {profile.name}" if given else f"{profile.name}, accepted before"
    told = [
        f"{table.role}: {table.problem}"
        if table.problem
        else f"{table.role}: {sum(one.broken for one in table.judged)} of {len(table.judged)} "
        f"expectations broken in {table.rows} rows"
        for table in held
    ]
    return f"Held against {what}; " + "; ".join(told)


def _version(replies: Sequence[tuple[Part, Reply]]) -> str:
    return next((str(r.values["version"]) for _, r in replies if r.values.get("version")), "1.x")
