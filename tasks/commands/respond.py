"""``proofhouse respond`` and ``cases``: playbooks followed step by step, by hand or by alarm."""

import getpass
import os
from collections.abc import Sequence
from pathlib import Path

from tasks.answering import EXIT_OK, EXIT_UNDECIDED, Answer
from tasks.casework import read_document, take_up, take_up_known, world_of
from tasks.domain.case import Said
from tasks.domain.errors import InvalidInputError
from tasks.domain.incident import Incident
from tasks.orchestration import served_address
from tasks.response.acting import World
from tasks.response.case_log import known_cases
from tasks.response.case_state import CaseState
from tasks.response.chronology import timeline_lines
from tasks.response.following import Following, alone, follow, tell, undo
from tasks.response.telling import case_document, case_lines, summary
from tasks.settings import read_settings

_LISTS = {"accounts"}
"""Fields of an incident that hold several values, told as ``accounts=one,two``."""


def respond_answer(
    playbook: str, incident: Path, *, dry_run: bool, done: str, undone: str,
    facts: Sequence[str], note: str, by: str,
) -> Answer:  # fmt: skip
    """Follows a playbook as far as it goes without people, and says whom it waits for."""
    work = take_up(
        playbook, read_document(incident, Incident, what="incident"), _world(), dry_run=dry_run
    )
    with alone(work.world.home, work.name):
        who = by.strip() or getpass.getuser()
        if facts:
            tell(work, by=who, said=_facts(facts), detail=note or "said by hand")
        if done:
            follow(work, by=who)
            tell(work, by=who, step=done, detail=note or "done")
        if undone:
            undo(work, undone, by=who)
        state = follow(work, by=who)
    return _told(work, state)


def cases_answer() -> Answer:
    """Lists every case."""
    world = _world()
    rows = []
    for head in known_cases(world.store):
        try:
            work = take_up_known(head.name, world)
            title, standing = work.incident.title, summary(work.state())
        except InvalidInputError as error:
            title, standing = "", error.message
        rows.append(
            {"case": head.name, "playbook": head.playbook, "dry_run": head.dry_run,
             "incident": title, "standing": standing}
        )  # fmt: skip
    lines = [
        f"{row['case']}  {row['playbook']}  {row['incident']}: {row['standing']}" for row in rows
    ]
    return Answer({"cases": rows}, lines or ["no cases yet"])


def case_answer(name: str) -> Answer:
    """Shows one case: steps, deadlines, clocks, timeline."""
    work = take_up_known(name, _world())
    state = work.state()
    told = _told(work, state)
    return Answer(told.document, [*told.lines, "", "timeline", *timeline_lines(state)], told.code)


def _world() -> World:
    settings = read_settings()
    url = os.environ.get("PREFECT_API_URL") or served_address(settings.home) or ""
    return world_of(settings, prefect_url=url)


def _facts(given: Sequence[str]) -> dict[str, Said]:
    found: dict[str, Said] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier():
            raise InvalidInputError(f"--fact {text!r} is no name=value, for example leaked=true")
        listed = tuple(part.strip() for part in value.split(",") if part.strip())
        plain = {"true": True, "false": False}.get(value.casefold(), value)
        found[name] = listed if name in _LISTS else plain
    return found


def _told(work: Following, state: CaseState) -> Answer:
    code = EXIT_OK if state.closed else EXIT_UNDECIDED
    return Answer(case_document(work, state), case_lines(work, state), code)
