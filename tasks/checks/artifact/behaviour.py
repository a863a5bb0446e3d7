"""Opens the model in the sandbox and watches whether it behaves like a model.

A model that hangs, dies, asks for more memory than allowed or answers with something other than
finite scores of the promised shape is refused here, once, before any longer work is spent on it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tasks.checks.lab import Lab
from tasks.domain.errors import (
    ChildDiedError,
    ChildError,
    ChildForbiddenError,
    ChildIdleError,
    ChildMemoryError,
    ChildProtocolError,
    ChildRaisedError,
    ChildResidentError,
    ChildScratchError,
    ChildSignalledError,
    ChildSpinningError,
    ChildStorageError,
    ChildThreadsError,
    ChildTimeoutError,
)
from tasks.domain.measurement import Measurement, Observation, Status
from tasks.domain.severity import Severity
from tasks.sandbox.protocol import Array

CHECK, VERSION = "artifact.behaviour", 1
_TRIED = {
    "socket": "behaviour.opens_sockets",
    **dict.fromkeys(
        ("clone", "execve", "execveat", "fork", "setsid", "vfork"), "behaviour.starts_processes"
    ),
}
SAME = 1e-4
"""Scores closer than this are the same answer."""
NEAR = 0.02
"""How far neighbours are away, as a share of the input range."""
_RULES: dict[type[ChildError], tuple[str, Severity]] = {
    ChildIdleError: ("behaviour.sleeps", Severity.HIGH),
    ChildSpinningError: ("behaviour.spins", Severity.HIGH),
    ChildTimeoutError: ("behaviour.hangs", Severity.HIGH),
    ChildSignalledError: ("behaviour.crashes", Severity.HIGH),
    ChildThreadsError: ("behaviour.starts_threads", Severity.HIGH),
    ChildScratchError: ("behaviour.fills_disk", Severity.HIGH),
    ChildResidentError: ("behaviour.exhausts_memory", Severity.HIGH),
    ChildDiedError: ("behaviour.dies", Severity.HIGH),
    ChildProtocolError: ("behaviour.forges_answers", Severity.CRITICAL),
    ChildMemoryError: ("behaviour.exhausts_memory", Severity.HIGH),
    ChildStorageError: ("behaviour.fills_disk", Severity.HIGH),
    ChildForbiddenError: ("behaviour.reaches_out", Severity.CRITICAL),
    ChildRaisedError: ("behaviour.unusable", Severity.HIGH),
}
"""The first that fits: kinds before the families they belong to."""


def measure(lab: Lab) -> Measurement:
    """Opens, queries four times, and reports every departure from good behaviour."""
    described: dict[str, Any] = {}
    try:
        described = lab.target()
        observations = _queried(lab, described)
    except ChildError as error:
        observations = [_broken(error, "query" if described else "opening")]
    observations += _tried(lab.attempts)
    refused = "; ".join(found.detail for found in observations if found.severity.rank >= 3)
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=refused or "The model opens, answers and repeats itself inside its limits.",
        observations=tuple(observations),
        method="Opened in the sandbox; neighbours, inputs, the same inputs, the same neighbours.",
        facts={
            "refused": refused or None,
            "kind": str(described.get("kind", "unknown")),
            "access": str(described.get("access", "none")),
            "parameters": int(described.get("parameters", 0) or 0),
        },
        cost=lab.cost,
    )


def _queried(lab: Lab, described: dict[str, Any]) -> list[Observation]:
    """Asks for neighbours, inputs, inputs, neighbours: a model without memory answers alike."""
    inputs = _inputs(lab)
    near = _neighbours(lab, inputs)
    before, first, second, after = (
        lab.run("targets.querying.scores", {"inputs": asked}).arrays["scores"]
        for asked in (near, inputs, inputs, near)
    )
    classes = lab.subject.spec.model.output.classes if lab.subject.spec.model.output else None
    if first.shape != (len(inputs), classes):
        text = f"the model answers {first.shape}, the bundle promises {(len(inputs), classes)}"
        return [Observation(rule="behaviour.shape", severity=Severity.HIGH, detail=text)]
    if not np.isfinite(first).all():
        text = "the model answers NaN or infinity to ordinary inputs"
        return [Observation(rule="behaviour.not_finite", severity=Severity.HIGH, detail=text)]
    spread = max(_spread(first, second), _spread(before, after))
    if spread <= SAME:
        return []
    return [_changed(spread, known=described.get("deterministic") is False)]


def _spread(one: Array, other: Array) -> float:
    """Returns the largest difference, as a share where scores are large; else infinity."""
    if one.shape != other.shape:
        return float("inf")
    with np.errstate(invalid="ignore"):
        gap = np.abs(one - other) / np.maximum(1.0, np.abs(one))
    return float(gap.max(initial=0.0)) if np.isfinite(gap).all() else float("inf")


def _changed(spread: float, *, known: bool) -> Observation:
    text = f"two answers to the same inputs differ by up to {spread:.3g}"
    if known:  # every check that assumes otherwise has been told, and doubts its own numbers
        return Observation(rule="behaviour.not_deterministic", severity=Severity.LOW, detail=text)
    text += (
        ", while noise got equal answers: the model remembers questions or tells tests from use, "
        "and may answer attacks otherwise than users"
    )
    return Observation(rule="behaviour.remembers", severity=Severity.HIGH, detail=text)


def _neighbours(lab: Lab, inputs: Array) -> Array:
    """Returns inputs a little away from ``inputs``, as the steps of an attack are.

    They stay among the values that the inputs have: whole numbers stay whole, nothing leaves the
    smallest and the largest.
    """
    low, high = float(inputs.min()), float(inputs.max())
    step = NEAR * (high - low) or NEAR
    whole = bool(np.array_equal(inputs, np.rint(inputs)))
    sign = np.random.default_rng(lab.seed + 1).choice([-1.0, 1.0], inputs.shape)
    moved = np.clip(inputs + sign * (max(1.0, np.rint(step)) if whole else step), low, high)
    return moved.astype(np.float32)


def _inputs(lab: Lab) -> Array:
    """Takes evaluation examples when there are some, else seeded noise within the input range."""
    if (data := lab.subject.dataset("evaluation")) is not None and data.digest is not None:
        return lab.sample("evaluation", lab.count("inputs")).inputs
    spec = lab.subject.spec.model.input
    assert spec is not None, "a classification bundle names its input"
    rng = np.random.default_rng(lab.seed)
    noise: Array = rng.uniform(*spec.range, (lab.count("inputs"), *spec.shape)).astype(np.float32)
    return noise


def _tried(attempts: Mapping[str, int]) -> list[Observation]:
    """Reports what was refused, whatever the model made of the refusal."""
    kinds: dict[str, list[str]] = {}
    for call, count in sorted(attempts.items()):
        kinds.setdefault(_TRIED.get(call, "behaviour.attacks_walls"), []).append(
            f"{call} ({count} times)" if count > 1 else call
        )
    return [
        Observation(
            rule=rule,
            severity=Severity.CRITICAL,
            detail=f"refused by the sandbox: {', '.join(calls)}",
        )
        for rule, calls in sorted(kinds.items())
    ]


def _broken(error: ChildError, when: str) -> Observation:
    rule, severity = next(
        (found for kind, found in _RULES.items() if isinstance(error, kind)),
        ("behaviour.broken", Severity.HIGH),
    )
    text = f"{when} the model failed: {error.message}"[:1000]
    return Observation(rule=rule, severity=severity, detail=text, location=when)
