"""From what was measured in a drill to objectives, held or not, and what to improve."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from tasks.attacks.extraction.students import Lesson, studied
from tasks.catalog.live_drills import LiveDrillEntry
from tasks.checks.extraction.agreement import rate
from tasks.domain.case import Ending
from tasks.domain.drill import Improvement
from tasks.domain.estimate import Estimate
from tasks.domain.live_drill import Objective
from tasks.response.case_state import Standing
from tasks.response.live.battle import Battle, Proof, Sighting
from tasks.response.live.ground import answers_of
from tasks.response.live.thief import StolenTarget

HIGH_DAYS, MEDIUM_DAYS = 14, 45
FEWEST = 2
"""Answers below which there is nothing to train a copy on."""


class Measured(NamedTuple):
    """The numbers of a drill. None where there is none."""

    detected_by: str
    to_detect: float | None
    to_contain: float | None
    leaked: int | None
    fidelity: Estimate | None
    benign: int
    refused: int
    hurt: int


def measured(battle: Battle) -> Measured:
    """Reads the numbers off the record."""
    record, sighting = battle.record, _first(battle)
    benign = [shot for shot in record.benign if shot.at >= 0]
    refused = [shot for shot in benign if not shot.answered]
    asks = battle.entry.attack.accounts > 0
    return Measured(
        detected_by=sighting.by if sighting else "",
        to_detect=None if sighting is None else max(0.0, record.at(sighting.at)),
        to_contain=_contained(battle, sighting),
        leaked=sum(shot.items for shot in record.attack if shot.answered) if asks else None,
        fidelity=_fidelity(battle, battle.target) if battle.target else None,
        benign=len(benign),
        refused=len(refused),
        hurt=len({shot.account for shot in refused}),
    )


def objectives(battle: Battle, found: Measured, proofs: Mapping[str, Proof]) -> Iterator[Objective]:
    """Yields everything that had to hold, and whether it did."""
    entry, limits = battle.entry, battle.entry.limits
    monitor = found.detected_by.partition("@")[0]
    yield Objective(
        name="detected", vital=True, held=monitor in entry.detection.by, value=found.to_detect,
        said=f"first seen by {found.detected_by}, expected: {', '.join(entry.detection.by)}"
        if monitor else "nobody noticed",
    )  # fmt: skip
    missing = [step for step in entry.containing if not _done(battle, step)]
    yield Objective(
        name="containing steps", vital=True, held=not missing,
        said=f"not done: {', '.join(missing)}" if missing else ", ".join(entry.containing),
    )  # fmt: skip
    for name, proof in proofs.items():
        yield Objective(
            name=f"proof: {name.replace('_', ' ')}", vital=True, held=proof.held, said=proof.said
        )
    yield _below("seconds from detection to containment", found.to_contain, limits.contain_seconds)
    if limits.leaked_queries is not None:
        yield _below("leaked queries", found.leaked, limits.leaked_queries)
    if limits.fidelity is not None:
        yield _copied(found, limits.fidelity)
    share = found.refused / found.benign if found.benign else None
    yield _below("share of honest requests refused", share, limits.benign_refused)
    yield _followed(battle)


def improvements(
    entry: LiveDrillEntry, judged: tuple[Objective, ...], held: datetime
) -> Iterator[Improvement]:
    """Yields an item for everything that did not hold."""
    for one in judged:
        if one.held:
            continue
        days = timedelta(days=HIGH_DAYS if one.vital else MEDIUM_DAYS)
        yield Improvement(
            drill=entry.id, decision=one.name, lesson=f"{one.said}. {entry.lesson}",
            owner=entry.owner, due=(held + days).date(), severity="high" if one.vital else "medium",
        )  # fmt: skip


def _first(battle: Battle) -> Sighting | None:
    return min(battle.sightings, key=lambda one: one.at, default=None)


def _contained(battle: Battle, sighting: Sighting | None) -> float | None:
    """Returns how long the attack went on after it was noticed, by its own shots if it has any."""
    if battle.entry.attack.accounts:
        return _accounts_contained(battle)
    if sighting is None or not battle.record.attack:
        return _steps_contained(battle)
    latest = [shot.at for shot in battle.record.attack if shot.answered][-1:]
    return max(0.0, *(at - battle.record.at(sighting.at) for at in latest), 0.0)


def _accounts_contained(battle: Battle) -> float | None:
    """Returns the longest that an account was still answered after it was noticed."""
    record, longest = battle.record, 0.0
    for line in battle.lines:
        seen = [
            record.at(one.at) for one in battle.sightings if line.account in one.incident.accounts
        ]
        if not seen:
            return None
        answered = record.answered(line.account)
        longest = max(longest, *(shot.at - min(seen) for shot in answered[-1:]), 0.0)
    return longest


def _steps_contained(battle: Battle) -> float | None:
    """Returns when the last containing step of the first case was done, after it was noticed."""
    sighting = _first(battle)
    if sighting is None or not battle.cases:
        return None
    ends = [
        event.at for event in battle.cases[0].log.events()
        if event.step in battle.entry.containing and event.ending is Ending.DONE
    ]  # fmt: skip
    if len(ends) < len(battle.entry.containing):
        return None
    return max(0.0, (max(ends) - sighting.at).total_seconds())


def _fidelity(battle: Battle, target: StolenTarget) -> Estimate | None:
    """Trains a student on all that leaked and compares it with the model on held-out inputs."""
    inputs, beliefs = target.leaked
    if len(inputs) < FEWEST:
        return None
    held = battle.ground.people.held.images
    student = studied(
        inputs, [Lesson(np.arange(len(inputs)), beliefs)], held, bounds=target.bounds,
        seed=battle.seed,
    )[0]  # fmt: skip
    return rate(student == answers_of(battle.ground.network, held).argmax(axis=1))


def _copied(found: Measured, limit: float) -> Objective:
    copy = found.fidelity
    said = "too little leaked to train a copy"
    if copy is not None:
        said = f"a student agrees on {copy.value:.0%} [{copy.low:.0%}, {copy.high:.0%}]"
    return Objective(
        name="fidelity of a copy", held=copy is None or copy.high < limit, said=said,
        value=None if copy is None else copy.high, limit=limit,
    )  # fmt: skip


def _below(name: str, value: float | None, limit: float) -> Objective:
    return Objective(
        name=name, held=value is not None and value <= limit, value=value, limit=limit,
        said="never" if value is None else f"{value:.3g}, at most {limit:g}",
    )  # fmt: skip


def _done(battle: Battle, step_id: str) -> bool:
    """Answers whether a step was done in every case; no case is no."""
    return bool(battle.cases) and all(
        work.state().standing(work.playbook.step(step_id)) is Standing.DONE for work in battle.cases
    )


def _followed(battle: Battle) -> Objective:
    failed = [
        f"{step.id} ({work.state().last(step).detail})"  # type: ignore[union-attr]  # it ended
        for work in battle.cases
        for step in work.playbook.steps
        if work.state().standing(step) is Standing.FAILED
    ]
    open_ = [work.name for work in battle.cases if not work.state().closed]
    said = f"{len(battle.cases)} case(s) worked to the end"
    if failed or open_:
        said = f"failed: {'; '.join(failed) or 'nothing'}. Still open: {', '.join(open_) or 'none'}"
    return Objective(
        name="playbook followed", held=bool(battle.cases) and not failed and not open_,
        said=said[:1000],
    )  # fmt: skip
