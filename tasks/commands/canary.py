"""``proofhouse canary``: new versions under watch, and the evidence that decides about them."""

from datetime import UTC, datetime
from typing import Any

from tasks.cli import EXIT_OK, EXIT_REFUSED, EXIT_UNDECIDED, Answer
from tasks.commands.onboard import prepare_home
from tasks.commands.registry import why_of
from tasks.domain.errors import InvalidInputError
from tasks.domain.severity import Severity
from tasks.domain.signal import Signal
from tasks.registry.baseline import report_signal
from tasks.registry.canary import Rules
from tasks.registry.mirrors import show
from tasks.registry.place import RegistryPlace
from tasks.registry.registering import Why, promote, withdraw
from tasks.registry.ruling import Watched, watched
from tasks.registry.state import ModelState

CODES = {"wait": EXIT_OK, "promote": EXIT_OK, "ask": EXIT_UNDECIDED, "rollback": EXIT_REFUSED}


def status_answer(asset: str | None, rules: Rules) -> Answer:
    """Tells what is known about every canary and what follows; changes nothing."""
    found = watched(RegistryPlace.here(), rules, datetime.now(UTC), asset=asset)
    documents = [one.document() for one in found]
    told = [line for one in found for line in _lines(one)]
    code = max((CODES[one.ruling.answer] for one in found), default=EXIT_OK)
    return Answer({"canaries": documents}, told or ["no canaries"], code)


def start_answer(asset: str, why: Why) -> Answer:
    """Makes a registered version the canary of its model."""
    registry = _prepared()
    return _moved(promote(asset, "canary", registry, why), registry)


def promote_answer(asset: str, reason: str, by: str, rules: Rules, *, despite: bool) -> Answer:
    """Makes a canary champion when the evidence says so, or when a person answers for it."""
    registry = _prepared()
    [canary] = watched(registry, rules, datetime.now(UTC), asset=asset)
    ruling = canary.ruling
    if ruling.answer != "promote" and not despite:
        told = [
            f"not promoted, the evidence says {ruling.answer}: {'; '.join(ruling.reasons)}",
            "To answer for it: --despite-evidence --reason …",
        ]
        document = {"promoted": False, **canary.document()}
        return Answer(document, told, CODES[ruling.answer] or EXIT_UNDECIDED)
    if despite and not reason.strip():
        raise InvalidInputError("--despite-evidence needs a --reason: you answer for it.")
    words = reason or "; ".join(ruling.reasons)
    why = Why(words[:2000], by=by, evidence=ruling.evidence)
    return _moved(promote(asset, "champion", registry, why), registry)


def rollback_answer(asset: str, reason: str, by: str) -> Answer:
    """Takes a canary out of service."""
    registry = _prepared()
    watched(registry, Rules(), datetime.now(UTC), asset=asset)
    return _moved(withdraw(asset, registry, why_of(reason, by)), registry)


def signal_answer(asset: str, kind: str, severity: str, why: Why) -> Answer:
    """Keeps a monitor's or a person's report about a version."""
    if severity not in set(Severity):
        raise InvalidInputError(f"--severity {severity!r} is unknown: {', '.join(Severity)}.")
    signal = Signal(
        asset=asset,
        kind=kind,
        severity=Severity(severity),
        reason=why.reason,
        source=why.who,
        evidence=why.evidence,
        dated=datetime.now(UTC).replace(microsecond=0),
    )
    digest = report_signal(signal, RegistryPlace.here())
    return Answer({"signal": digest, **signal.model_dump(mode="json")}, [f"kept as {digest}"])


def rules_of(days: int, longest: int, requests: int) -> Rules:
    """Returns the rules of a baseline.

    Raises:
        InvalidInputError: They contradict themselves.
    """
    if not 1 <= days <= longest or requests < 0:
        raise InvalidInputError("--days must be 1 or more, --longest not less, --requests not < 0.")
    return Rules(days=days, longest_days=longest, requests=requests)


def _prepared() -> RegistryPlace:
    registry = RegistryPlace.here()
    prepare_home(registry.home)
    return registry


def _moved(state: ModelState, registry: RegistryPlace) -> Answer:
    problems = list(show(state, registry))
    document: dict[str, Any] = {
        "model": state.model,
        "aliases": dict(state.held),
        "promotion": state.links[-1].statement,
        "problems": problems,
    }
    held = [f"{alias:<10} {holder}" for alias, holder in state.held.items()]
    return Answer(document, [state.model, *held, *(f"not shown in {one}" for one in problems)])


def _lines(canary: Watched) -> list[str]:
    base, ruling = canary.baseline, canary.ruling
    known = (
        f"{len(base.quiet_days)} quiet nights",
        f"{base.canary.requests} requests ({base.canary.failed} failed)",
        f"{len(base.signals)} signals",
    )
    return [
        f"{ruling.answer:<9} {base.asset} since {base.began:%Y-%m-%d}",
        *(f"          {words}" for words in (", ".join(known), *ruling.reasons)),
    ]
