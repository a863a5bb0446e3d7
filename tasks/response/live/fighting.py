"""The course of a live-fire drill: fire, notice, respond, and afterwards find out what holds.

The loop only notices and starts the response; whatever contains the attack is done by the playbook
and its actions, as for any incident. People's steps are answered in a thread of their own, so that
a slow case does not keep the next alarm waiting.
"""

import importlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from tasks.domain.errors import ProofhouseError
from tasks.response.following import Following, alone, follow
from tasks.response.live.battle import Battle, Sighting, TakeUp
from tasks.response.live.people import play_case

LOOK_SECONDS, QUIET_SECONDS = 0.1, 2.0
LAST_LOOKS_SECONDS = 3.0
"""How long alarms are waited for after the last shot."""
LONGEST_SECONDS = 150.0
"""After which a drill is over, contained or not."""


class DrillStuckError(ProofhouseError):
    """A drill did not come to its end."""

    code = "response.drill_stuck"


def fight(battle: Battle, take_up: TakeUp) -> None:
    """Launches the attack and responds until it is over and every case was worked at."""
    look: Callable[[], list[Sighting]] = _module("watches", _trigger(battle)).watching(battle)
    attacker = _Worker(lambda: _attack(battle))
    waiting: queue.Queue[Following | None] = queue.Queue()
    people = _Worker(lambda: _people(battle, waiting))
    time.sleep(QUIET_SECONDS)
    battle.record.first_shot()
    battle.record.tell("attack", f"{battle.entry.attack.name.replace('_', ' ')} begins")
    attacker.start()
    people.start()
    try:
        for _ in _looks(attacker):
            for sighting in look():
                waiting.put(_respond(battle, sighting, take_up))
        waiting.put(None)
        people.join(max(1.0, LONGEST_SECONDS - battle.record.now()))
    finally:
        battle.stop.set()
        attacker.join(30)
        people.join(30)
    attacker.raise_error()
    people.raise_error()


def _attack(battle: Battle) -> None:
    _module("attacks", battle.entry.attack.name).launch(battle)
    battle.record.tell("attack", "the attack is over")


def _respond(battle: Battle, sighting: Sighting, take_up: TakeUp) -> Following:
    """Opens the case and does at once what needs nobody."""
    record = battle.record
    battle.sightings.append(sighting)
    seen = sighting.incident
    what = f"{sighting.by}: {', '.join(seen.accounts) or seen.asset}"
    record.tell("detection", what, at=record.at(sighting.at))
    work = take_up(sighting.incident)._replace(clock=lambda: datetime.now(UTC))
    with alone(work.world.home, work.name):
        follow(work, by="proofhouse drill")
    battle.cases.append(work)
    return work


def _people(battle: Battle, waiting: "queue.Queue[Following | None]") -> None:
    while (work := waiting.get()) is not None:
        play_case(battle, work)


def _looks(attacker: "_Worker") -> Iterator[None]:
    """Yields as long as the attack lasts, and a little longer."""
    began, over = time.monotonic(), 0.0
    while time.monotonic() - began < LONGEST_SECONDS:
        if not attacker.is_alive():
            over = over or time.monotonic()
            if time.monotonic() - over > LAST_LOOKS_SECONDS:
                return
        yield
        time.sleep(LOOK_SECONDS)


def _trigger(battle: Battle) -> str:
    return battle.entry.detection.trigger.replace(".", "_")


def _module(folder: str, name: str) -> Any:
    return importlib.import_module(f"tasks.response.live.{folder}.{name}")


class _Worker(threading.Thread):
    """A thread whose error is raised where somebody looks, not printed and lost."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._error: BaseException | None = None

    def run(self) -> None:
        """Works; keeps what went wrong."""
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits for it
            self._error = error

    def raise_error(self) -> None:
        """Raises what went wrong, if anything did."""
        if self._error is not None:
            raise self._error
        if self.is_alive():
            raise DrillStuckError(
                "A part of the drill did not end in time, so nothing was measured. The machine may "
                "be too busy: hold the drill again when it is not."
            )
