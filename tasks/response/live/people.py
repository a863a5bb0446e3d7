"""The people of a drill: they answer manual steps and gates as the drill's entry says.

What the entry does not name is done as the playbook says; gates that it does not name are granted.
Every answer to a gate is an approval, signed with the drill's own key, like a person's.
"""

import importlib
from datetime import UTC, datetime, timedelta

from tasks.catalog.live_drills import Reply
from tasks.catalog.playbooks import Step
from tasks.domain.approval import Approval
from tasks.domain.case import Said
from tasks.domain.errors import ProofhouseError
from tasks.ledger.approvals import seal_approval
from tasks.response.case_state import CaseState, Standing
from tasks.response.following import Following, alone, follow, tell
from tasks.response.live.battle import Battle

PLAINLY = Reply(note="Done as the playbook says, by the script of the drill.")
MOST_ROUNDS = 200


def play_case(battle: Battle, work: Following) -> CaseState:
    """Answers whatever the case waits for, until it is closed or nothing more can be answered."""
    with alone(work.world.home, work.name):
        state = work.state()
        for _ in range(MOST_ROUNDS):
            step = _waiting(state)
            if state.closed or step is None or battle.stop.is_set():
                break
            _answer(battle, work, step)
            state = follow(work, by="proofhouse drill")
    return state


def _waiting(state: CaseState) -> Step | None:
    """Returns the next step of people. An action that failed stays what it is: failed."""
    ready = (Standing.READY,)
    return next(
        (one for one in state.to_do() if one.action is None and state.standing(one) in ready), None
    )


def _answer(battle: Battle, work: Following, step: Step) -> None:
    reply = battle.entry.replies.get(step.id, PLAINLY)
    who = work.playbook.roles[step.role].title
    said: dict[str, Said] = dict(reply.said)
    if reply.linked:
        said["accounts"] = tuple(
            sorted({name for one in battle.sightings for name in one.incident.accounts})
        )
    if said:
        tell(work, by=who, said=said, detail=reply.note)
    note = reply.note if reply.deed is None else _done(battle, work, reply.deed, reply.note)
    battle.record.tell("people", f"{step.title}: {note}")
    if step.gate is not None:
        _approve(work, step, by=who, granted=reply.granted is not False, reason=note)
    else:
        tell(work, by=who, step=step.id, detail=note)


def _done(battle: Battle, work: Following, deed: str, note: str) -> str:
    """Does what a person does at the keyboard; what goes wrong is said, as a person would."""
    module = importlib.import_module(f"tasks.response.live.deeds.{deed}")
    try:
        told: str = module.do(battle, work)
    except ProofhouseError as error:
        told = f"could not be done: {error.message}"
    return f"{note} {told}"[:4000]


def _approve(work: Following, step: Step, *, by: str, granted: bool, reason: str) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    approval = Approval(
        kind="step", asset=work.incident.asset or work.incident.name, case=work.name,
        step=step.id, granted=granted, reason=reason, by=by, issued=now,
        expires=now + timedelta(days=1),
    )  # fmt: skip
    world = work.world
    seal_approval(approval, store=world.store, signer=world.signer(), trust=world.trust())
