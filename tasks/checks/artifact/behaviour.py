"""Opens the model in the sandbox and watches whether it behaves like a model.

A model that hangs, dies, asks for more memory than allowed or answers with something other than
finite scores of the promised shape is refused here, once, before any longer work is spent on it.
"""

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
    """Opens, queries twice, and reports every departure from good behaviour."""
    described: dict[str, Any] = {}
    try:
        described = lab.target()
        observations = _queried(lab)
    except ChildError as error:
        observations = [_broken(error, "query" if described else "opening")]
    refused = "; ".join(found.detail for found in observations if found.severity.rank >= 3)
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=refused or "The model opens, answers and repeats itself inside its limits.",
        observations=tuple(observations),
        method="Opened in the sandbox and queried twice on the same inputs, under deadlines.",
        facts={
            "refused": refused or None,
            "kind": str(described.get("kind", "unknown")),
            "access": str(described.get("access", "none")),
            "parameters": int(described.get("parameters", 0) or 0),
        },
        cost=lab.cost,
    )


def _queried(lab: Lab) -> list[Observation]:
    inputs = _inputs(lab)
    first, second = (
        lab.run("targets.querying.scores", {"inputs": inputs}).arrays["scores"] for _ in range(2)
    )
    observations: list[Observation] = []
    classes = lab.subject.spec.model.output.classes if lab.subject.spec.model.output else None
    if first.shape != (len(inputs), classes):
        text = f"the model answers {first.shape}, the bundle promises {(len(inputs), classes)}"
        return [Observation(rule="behaviour.shape", severity=Severity.HIGH, detail=text)]
    if not np.isfinite(first).all():
        text = "the model answers NaN or infinity to ordinary inputs"
        observations.append(
            Observation(rule="behaviour.not_finite", severity=Severity.HIGH, detail=text)
        )
    elif (spread := float(np.abs(first - second).max())) > 1e-4:
        text = f"two answers to the same inputs differ by up to {spread:.3g}"
        observations.append(
            Observation(rule="behaviour.not_deterministic", severity=Severity.LOW, detail=text)
        )
    return observations


def _inputs(lab: Lab) -> Array:
    """Takes evaluation examples when there are some, else seeded noise within the input range."""
    if (data := lab.subject.dataset("evaluation")) is not None and data.digest is not None:
        return lab.sample("evaluation", lab.count("inputs")).inputs
    spec = lab.subject.spec.model.input
    assert spec is not None, "a classification bundle names its input"
    rng = np.random.default_rng(lab.seed)
    noise: Array = rng.uniform(*spec.range, (lab.count("inputs"), *spec.shape)).astype(np.float32)
    return noise


def _broken(error: ChildError, when: str) -> Observation:
    rule, severity = next(
        (found for kind, found in _RULES.items() if isinstance(error, kind)),
        ("behaviour.broken", Severity.HIGH),
    )
    text = f"{when} the model failed: {error.message}"[:1000]
    return Observation(rule=rule, severity=severity, detail=text, location=when)
