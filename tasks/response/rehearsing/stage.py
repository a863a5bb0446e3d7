"""Drills as suspended flow runs: questions are typed forms, injects are artifacts on a clock.

A deployed run ends while it waits for people and starts again from its top; what was answered lies
in the store, so nothing is asked twice, and a run that died is followed by any other one that
names the session. Long pauses of the story are another scheduled run: nothing waits meanwhile.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from pydantic import Field, create_model

from tasks.casework import world_of
from tasks.catalog.drills import Decision, DrillEntry, Inject
from tasks.catalog.reading import Catalog, entry_digest
from tasks.domain.drill import PlayerAnswer
from tasks.domain.errors import InvalidInputError
from tasks.forms import NEXT, NEXT_LIVE, LiveForm, TableForm
from tasks.response.acting import World
from tasks.response.rehearsals import last_live, longest_ago, tabletops_held
from tasks.response.rehearsing.concluding import conclude, result_lines
from tasks.response.rehearsing.sessions import Begun, Session
from tasks.response.rehearsing.story import opening, question, told_so_far
from tasks.response.stage import waited
from tasks.response.wording import plain
from tasks.settings import read_settings

SLEPT_SECONDS = 60
"""A pause of the story up to this long is slept; a longer one is another run, when deployed."""
_HINTS = {"choice": "Choose one.", "yes_no": "On is yes, off is no.", "text": "In your words."}


def hold(drill: str, table: TableForm, live: LiveForm) -> dict[str, Any]:
    """Holds a drill: a live-fire one at once, a tabletop until its last question is answered."""
    world = world_of(read_settings())
    fired = _live_of(drill, world)
    if fired is not None:
        from tasks.drilling import live_fire  # noqa: PLC0415 - gateway and torch: for who fires

        held = live_fire(fired, faster=live.faster, team=table.team, seed=live.seed)
        result: dict[str, Any] = held.result.model_dump(mode="json")
        return result | {"drill": fired, "passed": held.result.passed, "statement": held.statement}
    session = Session(world.store, table.session or _own_session())
    begun = session.begun()
    entry = Catalog().drill(begun.drill if begun else _chosen(drill, world))
    begun = begun or _begun(entry, table, session)
    if begun.entry != entry_digest(entry):
        raise InvalidInputError(f"{entry.id} was changed since {session.name} began: begin anew")
    return _played(entry, session, begun, world)


def _live_of(drill: str, world: World) -> str | None:
    """Returns the live-fire drill that was asked for, None when it is a tabletop.

    Of ``next_live`` it is the one that was held longest ago.
    """
    names = Catalog().ids("live_drills")
    if drill == NEXT_LIVE:
        trust = world.trust()
        last = ((name, last_live(world.store, trust, name)) for name in names)
        return longest_ago(names, {name: result.held for name, result in last if result})
    return drill if drill in names else None


def _chosen(drill: str, world: World) -> str:
    """Returns the drill that was asked for; of ``next`` the tabletop that was held longest ago."""
    if drill != NEXT:
        return drill
    return longest_ago(Catalog().ids("drills"), tabletops_held(world.store))


def _played(drill: DrillEntry, session: Session, begun: Begun, world: World) -> dict[str, Any]:
    for inject in _to_come(drill, session):
        asked = [one for one in drill.decisions if one.after == inject.id]
        ahead = (inject.at_minutes - begun.minute(datetime.now(UTC))) * 60 / begun.faster
        if ahead > SLEPT_SECONDS and deployment.id:
            return _later(drill, session, ahead, inject.id)
        time.sleep(max(0.0, ahead))
        create_markdown_artifact(
            told_so_far(drill, session, begun, inject), key=session.name, description=drill.title
        )
        for decision in asked:
            _ask(drill, decision, session, begun)
    return _concluded(drill, session, world)


def _to_come(drill: DrillEntry, session: Session) -> tuple[Inject, ...]:
    """Returns the injects from where the story stands on: those before were told already."""
    waiting = [one.after for one in drill.decisions if session.given(one) is None]
    given = [one.after for one in drill.decisions if session.given(one) is not None]
    names = [inject.id for inject in drill.injects]
    reached = max((names.index(name) for name in given), default=-1)
    asks = reached >= 0 and names[reached] in waiting
    return drill.injects[reached if asks else reached + 1 :]


def _ask(drill: DrillEntry, decision: Decision, session: Session, begun: Begun) -> None:
    if session.given(decision) is not None:
        return
    form = form_of(decision).with_initial_data(description=question(drill, decision))
    given, at = _answered(form, key=f"{session.name}-{decision.id.replace('_', '-')}")
    told: dict[str, Any] = given.model_dump()
    answer = told["answer"]
    if told["leave_open"] or answer == "":
        session.give(decision, None)
        return
    # Whoever answers an inject answers after it, whatever the clocks of two machines say.
    minute = max(begun.minute(at), drill.inject(decision.after).at_minutes)
    session.give(decision, PlayerAnswer(answer=answer, at_minutes=round(minute, 2), by=told["by"]))


def form_of(decision: Decision) -> type[RunInput]:
    """Returns the form of one question: an answer of its kind, or that it is left open.

    The orchestrator's page shows an optional answer as a choice between types, which nobody at a
    table understands; hence a required answer, and a switch beside it.
    """
    # A Literal of choices that are known only now: no type checker can read it.
    kinds: dict[str, Any] = {
        "choice": Literal[decision.choices] if decision.choices else str,
        "yes_no": bool,
        "text": Annotated[str, Field(max_length=8000)],
    }
    asked = Field(title=decision.question, description=_HINTS[decision.kind])
    fields: dict[str, Any] = {
        "answer": (kinds[decision.kind], asked),
        "by": (str, Field(default="", title="Your name", max_length=200)),
        "leave_open": (
            bool,
            Field(
                default=False,
                title="Leave the question open",
                description="Counts as no answer, whatever stands above.",
            ),
        ),
    }
    return create_model("Decision", __base__=RunInput, **fields)


def _begun(drill: DrillEntry, table: TableForm, session: Session) -> Begun:
    """Waits until the team is there; from then on the clock runs."""
    roles: dict[str, Any] = {
        role: (str, Field(default="", title=title, description="Who plays it.", max_length=200))
        for role, title in drill.roles.items()
    }
    team = (str, Field(default=table.team, title="Team", min_length=1, max_length=200))
    form = create_model("Begin", __base__=RunInput, team=team, **roles)
    described = form.with_initial_data(description=opening(drill, table.faster))
    given, at = _answered(described, key=f"{session.name}-begin")
    told: dict[str, str] = given.model_dump()
    return session.begin(
        Begun(
            drill=drill.id,
            entry=entry_digest(drill),
            team=told.pop("team"),
            players={role: name for role, name in told.items() if name},
            faster=table.faster,
            at=at.replace(microsecond=0),
        )
    )


def _answered(form: type[RunInput], *, key: str) -> tuple[RunInput, datetime]:
    """Waits for a form; returns it with the moment at which it was sent.

    A suspended run is started again some seconds after that, which on a fast clock are minutes.
    """
    given = waited(form, key=key)
    metadata = given.metadata
    with get_client(sync_client=True) as client:
        found = client.filter_flow_run_input(metadata.receiver, metadata.key, 1, set())
    sent = next((one.created for one in found if one.created is not None), None)
    return given, datetime.fromisoformat(sent.isoformat()) if sent else datetime.now(UTC)


def _later(drill: DrillEntry, session: Session, ahead: float, inject: str) -> dict[str, Any]:
    """Schedules the run that goes on with the story; the same inject is scheduled once."""
    due = datetime.now(UTC) + timedelta(seconds=ahead)
    run_deployment(
        deployment.id,
        parameters={"drill": drill.id, "table": {"session": session.name}},
        scheduled_time=due,
        timeout=0,
        as_subflow=False,
        idempotency_key=f"{session.name} {inject}",
    )
    return {"drill": drill.id, "session": session.name, "goes_on": due.isoformat()}


def _concluded(drill: DrillEntry, session: Session, world: World) -> dict[str, Any]:
    answers = session.answers(drill)
    concluded = conclude(drill, Catalog().playbook(drill.playbook), answers, world)
    told = "\n".join(_summary(result_lines(concluded)))
    create_markdown_artifact(told, key=f"{session.name}-result", description=drill.title)
    return concluded.document | {"session": session.name}


def _summary(lines: list[str]) -> Iterator[str]:
    first, *rest = lines
    yield f"# {plain(first)}\n"
    yield from (f"- {plain(line)}" for line in rest)


def _own_session() -> str:
    """Names a session after the flow run, which stays the same however often it starts again."""
    return f"session-{str(flow_run.id).replace('-', '')[:20]}"
