"""The night's reassessment of what is in use: a verdict that became worse."""

from collections.abc import Callable
from datetime import UTC, datetime

from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.finding import Outcome, Verdict
from tasks.domain.incident import Incident
from tasks.domain.run import RunRecord
from tasks.response.live.battle import Battle, Sighting

BATTERY = "drill.night"


def watching(battle: Battle) -> Callable[[], list[Sighting]]:
    """Returns a look that reassesses, once, the version that came last.

    What was in use before had its night already: unchanged, its sealed measurements are reused.
    """
    done: list[bool] = []

    def look() -> list[Sighting]:
        if done or not battle.launched.is_set():
            return []
        done.append(True)
        newest = battle.canary or battle.ground.model
        subject = Subject.parse(battle.ground.store.get(newest.subject))
        record = assessed(battle, subject, BATTERY)
        refused = record.decision.verdict is Verdict.REFUSED
        return [sighting(battle, record)] if refused else []

    return look


def assessed(battle: Battle, subject: Subject, battery: str) -> RunRecord:
    """Asks a battery about a subject, and says in the drill's record that it does."""
    battle.record.tell("detection", f"{battery} looks at {subject.spec.asset}")
    return battle.ground.assessor.assess(subject, battery)


def sighting(battle: Battle, record: RunRecord) -> Sighting:
    """Returns the incident that a refused verdict is."""
    failed = [one.check for one in record.findings if one.outcome is Outcome.FAIL]
    now = datetime.now(UTC)
    subject = Subject.parse(battle.ground.store.get(Digest(record.subject)))
    incident = Incident(
        schema_="proofhouse.incident/1",
        title=f"Verdict became worse: {record.asset}"[:300],
        detected=now,
        reported_by=", ".join(failed)[:300] or "reassessment",
        summary="; ".join(record.decision.reasons)[:4000],
        asset=record.asset,
        vendor=subject.spec.vendor.name,
        run=record.run,
        facts=dict(battle.entry.facts),
    )
    return Sighting(by=failed[0] if failed else "", at=now, incident=incident)
