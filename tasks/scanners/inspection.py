"""One inspection: where findings are written, and how a format hands nested bytes back."""

import dataclasses
from collections.abc import Callable

from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.scanners.reading import Budget, BudgetSpent, View

MOST_FINDINGS = 300
MOST_DETAIL = 300


@dataclasses.dataclass
class Notes:
    """Findings of one file, each (rule, detail) once, at most :data:`MOST_FINDINGS` plus one."""

    found: dict[tuple[str, str], Observation] = dataclasses.field(default_factory=dict)
    dropped: int = 0

    def add(self, observation: Observation) -> None:
        """Keeps the first of equal findings; when full, only a worse one replaces a milder."""
        key = (observation.rule, observation.detail)
        if key in self.found:
            return
        if len(self.found) >= MOST_FINDINGS:
            self.dropped += 1
            mildest = min(self.found, key=lambda known: self.found[known].severity.rank)
            if self.found[mildest].severity.rank >= observation.severity.rank:
                return
            del self.found[mildest]
        self.found[key] = observation

    def listed(self) -> tuple[Observation, ...]:
        """Returns the findings, worst first, then by place and rule."""
        kept = sorted(
            self.found.values(),
            key=lambda each: (-each.severity.rank, each.location, each.rule, each.detail),
        )
        if self.dropped:
            text = f"{self.dropped} more findings are not listed"
            kept.append(Observation(rule="scan.more_findings", severity=Severity.INFO, detail=text))
        return tuple(kept)


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Handed to every format: budget, notes, place inside the file, and the way to nested bytes.

    ``name`` is the file's or member's own name; ``around`` says what it lies in, for example
    ``torchscript``, because some names are only legal there.
    """

    name: str
    place: str
    budget: Budget
    notes: Notes
    read: Callable[[View, "Inspection"], str]
    depth: int = 0
    around: str = ""

    def note(
        self, rule: str, severity: Severity, detail: str, offset: int | str | None = None
    ) -> None:
        """Writes one finding; ``offset`` counts from the start of these bytes."""
        place = self.place if offset is None else f"{self.place}:{offset}"
        self.notes.add(
            Observation(
                rule=rule,
                severity=severity,
                detail=printable(detail, MOST_DETAIL),
                location=printable(place, 2 * MOST_DETAIL),
            )
        )

    def inside(self, view: View, name: str, *, around: str = "") -> str:
        """Reads nested bytes by the same rules and returns their format."""
        if self.depth + 1 > self.budget.depth:
            self.note(
                "scan.depth",
                Severity.HIGH,
                f"parts are nested more than {self.budget.depth} deep; no model needs that",
            )
            return "unknown"
        self.budget.spend_nested()
        nested = dataclasses.replace(
            self, name=name, place=f"{self.place}!{name}", depth=self.depth + 1, around=around
        )
        return self.read(view, nested)

    def bounded(self, work: Callable[[], None]) -> None:
        """Runs ``work``; a spent budget becomes a finding instead of an exception."""
        try:
            work()
        except BudgetSpent as reason:
            self.note("scan.budget", Severity.MEDIUM, f"scan stopped early: {reason}")


def printable(text: str, most: int) -> str:
    """Returns ``text`` with everything but plain printable characters escaped, and cut."""
    safe = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:most]
    )
    return safe if len(safe) <= most else safe[: most - 1] + "…"
