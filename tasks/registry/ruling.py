"""Acts on what is known about canaries: the step between evidence and the promotion log."""

from datetime import datetime
from typing import Any, NamedTuple

from tasks.domain.errors import InvalidInputError
from tasks.domain.promotion import model_of
from tasks.registry.baseline import baseline_of
from tasks.registry.canary import Baseline, Rules, Ruling, rule
from tasks.registry.place import RegistryPlace
from tasks.registry.registering import Why, promote, withdraw
from tasks.registry.state import ModelState, all_states, model_state

DECIDER = "proofhouse canary"


class Watched(NamedTuple):
    """One canary, what is known about it, and what follows."""

    state: ModelState
    baseline: Baseline
    ruling: Ruling

    def document(self) -> dict[str, Any]:
        """Returns it as machines read it."""
        base = self.baseline
        champion = base.champion
        return {
            "asset": base.asset,
            "model": self.state.model,
            "champion": self.state.held.get("champion"),
            "began": base.began.isoformat(),
            "quiet_nights": list(base.quiet_days),
            "signals": [signal.model_dump(mode="json") for _, signal in base.signals],
            "traffic": {
                "canary": base.canary._asdict(),
                "champion": champion._asdict() if champion else None,
            },
            "answer": self.ruling.answer,
            "reasons": list(self.ruling.reasons),
            "evidence": list(self.ruling.evidence),
            "look_again": self.ruling.look_again.isoformat() if self.ruling.look_again else None,
        }


def watched(
    registry: RegistryPlace, rules: Rules, now: datetime, *, asset: str | None = None
) -> tuple[Watched, ...]:
    """Returns every canary with its ruling, or the one of an asset.

    Raises:
        InvalidInputError: The asset is no canary.
    """
    states = [model_state(model_of(asset), registry)] if asset else list(all_states(registry))
    found = [
        Watched(state, base, rule(base, rules, now))
        for state in states
        if (base := baseline_of(state, registry)) is not None
    ]
    if asset and [one.baseline.asset for one in found] != [asset]:
        raise InvalidInputError(f"{asset[:200]} is no canary. See: proofhouse canary status.")
    return tuple(found)


def act(canary: Watched, registry: RegistryPlace) -> ModelState:
    """Promotes or rolls back what the evidence says; leaves the rest. Repeatable."""
    asset, ruling = canary.baseline.asset, canary.ruling
    why = Why("; ".join(ruling.reasons)[:2000], by=DECIDER, evidence=ruling.evidence)
    if ruling.answer == "promote":
        return promote(asset, "champion", registry, why)
    if ruling.answer == "rollback":
        return withdraw(asset, registry, why)
    return canary.state
