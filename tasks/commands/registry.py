"""``proofhouse registry``: signed models, their aliases, and the log of every move."""

from pathlib import Path
from typing import Any, get_args

from tasks.cli import EXIT_OK, EXIT_REFUSED, Answer
from tasks.commands.onboard import prepare_home
from tasks.domain.digest import Digest
from tasks.domain.errors import InvalidInputError
from tasks.domain.promotion import Alias, model_of
from tasks.ledger.promotions import Link
from tasks.registry import registering
from tasks.registry.exporting import Format, export
from tasks.registry.mirrors import mirrors, show
from tasks.registry.place import RegistryPlace
from tasks.registry.registering import Why
from tasks.registry.serving import AcceptedModel, UnsignedModelError, accepted_model
from tasks.registry.state import ModelState, Version, all_states, model_state


def list_answer() -> Answer:
    """Lists registered versions with their aliases."""
    rows = [
        _version(state, version)
        for state in all_states(RegistryPlace.here())
        for version in state.versions
    ]
    told = [
        f"{_stage(row):<10} {row['asset']}  {row['run']}  {row['withdrawn']}".rstrip()
        for row in rows
    ]
    return Answer({"versions": rows}, told or ["nothing is registered yet"])


def show_answer(name: str) -> Answer:
    """Shows one model: versions, every move, and where a mirror shows something else."""
    registry = RegistryPlace.here()
    state = _known(name, registry)
    document: dict[str, Any] = {
        "model": state.model,
        "aliases": dict(state.held),
        "versions": [_version(state, version) for version in state.versions],
        "moves": [_move(link) for link in state.links],
        "mirrors": {one.name: list(one.differences(state)) for one in mirrors(registry)},
    }
    told = [state.model, ""]
    told += [f"  {_stage(row):<10} {row['asset']}  {row['run']}" for row in document["versions"]]
    told += ["", "moves"]
    told += [
        f"  {row['number']:>3} {row['issued']} {row['action']:<9} {row['alias']:<10} {row['asset']}"
        f"  by {row['by']}: {row['reason']}"
        for row in document["moves"]
    ]
    told += [
        f"{mirror} shows something else: {problem}"
        for mirror, problems in document["mirrors"].items()
        for problem in problems
    ]
    return Answer(document, told)


def check_answer(reference: str) -> Answer:
    """Says whether a model may be loaded, after verifying all of its evidence."""
    try:
        model = accepted_model(reference)
    except UnsignedModelError as error:
        document = {"reference": reference, "ok": False, "reason": error.message}
        return Answer(document, [error.message], EXIT_REFUSED)
    told = f"{model.asset} may be loaded: {model.verdict} by {model.run}, signed, as registered"
    return Answer({"reference": reference, "ok": True, **_accepted(model)}, [told])


def add_answer(target: str, why: Why) -> Answer:
    """Registers the model of an accepted run, or of the latest run of an asset."""
    registry = _prepared()
    run = target if target.startswith("run-") else _latest_run(target, registry)
    state = registering.register(run, registry, why)
    if state is None:
        reason = f"{run} let no model in: it was refused, or it is about data"
        return Answer({"registered": False, "reason": reason}, [reason], EXIT_REFUSED)
    return _moved(state, registry)


def promote_answer(asset: str, alias: str, why: Why) -> Answer:
    """Moves a version to canary or champion."""
    registry = _prepared()
    return _moved(registering.promote(asset, _alias(alias), registry, why), registry)


def withdraw_answer(asset: str, why: Why) -> Answer:
    """Takes a version out of service."""
    registry = _prepared()
    return _moved(registering.withdraw(asset, registry, why), registry)


def rollback_answer(name: str, why: Why, leaving: str | None = None) -> Answer:
    """Makes the previous champion champion again."""
    registry = _prepared()
    model = _known(name, registry).model
    return _moved(registering.roll_back(model, registry, why, leaving=leaving), registry)


def export_answer(reference: str, format_: str, out: Path, uri: str) -> Answer:
    """Writes a model for a server."""
    if format_ not in get_args(Format):
        raise InvalidInputError(f"--format {format_!r} is unknown: {', '.join(get_args(Format))}.")
    chosen: Format = next(one for one in get_args(Format) if one == format_)
    files = export(reference, chosen, out, RegistryPlace.here(), uri=uri)
    names = [path.relative_to(out).as_posix() for path in files]
    return Answer({"folder": str(out), "files": names}, [f"{out}/{name}" for name in names])


def sync_answer() -> Answer:
    """Writes every model's state to every mirror."""
    registry = _prepared()
    problems = {state.model: list(show(state, registry)) for state in all_states(registry)}
    bad = [f"{model}: {problem}" for model, told in problems.items() for problem in told]
    lines = bad or [f"{len(problems)} models are shown as they are registered"]
    return Answer({"models": problems}, lines, EXIT_REFUSED if bad else EXIT_OK)


def why_of(reason: str, by: str, evidence: list[str] | None = None) -> Why:
    """Returns who moves a version and why.

    Raises:
        InvalidInputError: No reason was given.
    """
    if not reason.strip():
        raise InvalidInputError("--reason is empty. Say why; it is signed and kept.")
    return Why(reason=reason, by=by, evidence=tuple(Digest(one) for one in evidence or ()))


def _prepared() -> RegistryPlace:
    registry = RegistryPlace.here()
    prepare_home(registry.home)
    return registry


def _known(name: str, registry: RegistryPlace) -> ModelState:
    """Finds a model by its name or one of its versions."""
    for model in (name, model_of(name)):
        state = model_state(model, registry) if model else None
        if state is not None and state.links:
            return state
    raise InvalidInputError(f"{name[:200]!r} is not registered. List: registry list.")


def _latest_run(asset: str, registry: RegistryPlace) -> str:
    from tasks.domain.spec import ASSESSMENT  # noqa: PLC0415
    from tasks.inventory.database import Inventory  # noqa: PLC0415

    rows = [row for row in Inventory(registry.database).runs(asset) if row.occasion != ASSESSMENT]
    if not rows:
        raise InvalidInputError(f"{asset[:200]!r} has no whole run. Onboard it first.")
    return rows[0].run


def _alias(alias: str) -> Alias:
    found = next((one for one in get_args(Alias) if one == alias), None)
    if found is None:
        raise InvalidInputError(f"--alias {alias!r} is unknown: canary or champion.")
    chosen: Alias = found
    return chosen


def _moved(state: ModelState, registry: RegistryPlace) -> Answer:
    problems = show(state, registry)
    last = state.links[-1]
    document = {
        "model": state.model,
        "aliases": dict(state.held),
        "promotion": last.statement,
        "ledger_index": last.ledger_index,
        "problems": list(problems),
    }
    held = [f"{alias:<10} {asset}" for alias, asset in state.held.items()]
    told = [f"{state.model} (move {last.promotion.number}, ledger {last.ledger_index})", *held]
    return Answer(document, [*told, *(f"not shown in {problem}" for problem in problems)])


def _stage(row: dict[str, Any]) -> str:
    return row["alias"] or ("withdrawn" if row["withdrawn"] else "-")


def _version(state: ModelState, version: Version) -> dict[str, Any]:
    move = version.move
    return {
        "asset": version.asset,
        "model": state.model,
        "alias": state.alias_of(version.asset),
        "run": move.run,
        "statement": move.statement,
        "signature": move.signature,
        "promotion": version.link.statement,
        "withdrawn": version.withdrawn,
    }


def _move(link: Link) -> dict[str, Any]:
    told: dict[str, Any] = link.move.model_dump(mode="json")
    return told | {
        "number": link.promotion.number,
        "previous": link.promotion.previous,
        "promotion": link.statement,
        "ledger_index": link.ledger_index,
        "keyid": link.keyid,
    }


def _accepted(model: AcceptedModel) -> dict[str, Any]:
    return {
        "asset": model.asset,
        "alias": model.alias,
        "run": model.run,
        "verdict": model.verdict.value,
        "subject": model.subject,
        "artifact": model.artifact,
        "architecture": model.architecture,
        "signed": model.signed._asdict(),
    }
