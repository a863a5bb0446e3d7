"""One drill under way: what attack, watch, people and proofs share."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from tasks.catalog.live_drills import LiveDrillEntry
from tasks.domain.incident import Incident
from tasks.registry.serving import AcceptedModel
from tasks.response.following import Following
from tasks.response.live.asking import Line
from tasks.response.live.ground import Ground
from tasks.response.live.record import Record
from tasks.response.live.thief import StolenTarget

FOLLOWS_SECONDS = 1.5
"""Within which a running gateway follows keys and controls that were changed, and some more."""
TakeUp = Callable[[Incident], Following]
"""Opens the drill's playbook for an incident, live, in the drill's home."""


class Sighting(NamedTuple):
    """Something was noticed: by whom, when, and the incident that it is."""

    by: str
    at: datetime
    incident: Incident


class Proof(NamedTuple):
    """What trying showed: whether the containment holds, in words."""

    held: bool
    said: str


@dataclass
class Battle:
    """The state of one drill. Written by the attack, read by everybody after it."""

    entry: LiveDrillEntry
    ground: Ground
    record: Record
    port: int
    faster: float
    seed: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when the drill is over, so that an attack that nobody stopped ends."""
    lines: list[Line] = field(default_factory=list)
    """Of the attacker's accounts."""
    target: StolenTarget | None = None
    """The model as the attacker sees it, once it asks."""
    canary: AcceptedModel | None = None
    left: dict[str, Any] = field(default_factory=dict)
    """What the attack left behind for others to find, by name."""
    launched: threading.Event = field(default_factory=threading.Event)
    """Set when what the attack drops lies where it was meant to."""
    sightings: list[Sighting] = field(default_factory=list)
    cases: list[Following] = field(default_factory=list)
    opened: list[Line] = field(default_factory=list)
    """Every line of anybody, to be hung up at the end."""

    def line(self, account: str, role: str) -> Line:
        """Returns a new account's line to the gateway."""
        key = self.ground.key(account, role)
        line = Line(self.port, self.ground.model.spec.name, account, key)
        self.opened.append(line)
        return line

    def hang_up(self) -> None:
        """Closes every line; nobody may be asking any more."""
        for line in self.opened:
            line.close()

    def new_lines(self, who: str, count: int, role: str = "partner") -> list[Line]:
        """Returns lines of new accounts once the gateway knows their keys."""
        lines = [self.line(f"{who}-{number + 1}", role) for number in range(count)]
        time.sleep(FOLLOWS_SECONDS)
        return lines

    def aim(self) -> StolenTarget:
        """Returns the gateway as a target for the attack's accounts."""
        attack = self.entry.attack
        self.target = StolenTarget(
            self.ground.model.spec, self.lines, self.record,
            per_second=attack.per_second * self.faster, budget=attack.budget, stop=self.stop,
        )  # fmt: skip
        return self.target
