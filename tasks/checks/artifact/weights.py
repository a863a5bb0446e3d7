"""Are the weights numbers that a model can have: finite, real, and there at all?

The child streams every tensor of the artifact and counts; attacks on weights that are not finite
would report nonsense, so they are stopped here.
"""

from typing import Any

from tasks.checks.lab import Lab, NotApplicable, NotAvailable
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Measurement, Observation, Status
from tasks.domain.severity import Severity

MOST_SUBNORMAL = 0.5
"""Share of subnormal numbers that no training leaves behind; they slow a CPU a hundredfold."""

Tally = dict[str, Any]


def measure(lab: Lab) -> Measurement:
    """Counts what is wrong with each tensor.

    Raises:
        NotApplicable: The model is an endpoint and has no weights here.
        NotAvailable: The artifact's format has no tensor table that can be read without opening it.
    """
    artifact = lab.subject.spec.model.artifact
    if artifact is None:
        raise NotApplicable("the model is an endpoint; its weights are elsewhere")
    (place,) = lab.admit(artifact)
    values = lab.run("scanners.weights.read_weights", path=str(place), name=artifact).values
    if not values["supported"]:
        raise NotAvailable(
            f"{artifact}: tensors of this format cannot be listed without opening it"
        )
    tensors: list[Tally] = values["tensors"]
    found = _observations(tensors, artifact)
    elements = sum(int(each["elements"]) for each in tensors)
    broken = sum(int(each["not_finite"]) for each in tensors)
    share = broken / elements if elements else 0.0
    return Measurement(
        check="artifact.weights",
        version=1,
        status=Status.MEASURED,
        detail=f"{len(tensors)} tensors, {elements} numbers, {broken} not finite.",
        estimates={"not_finite": Estimate.exact(share, n=elements)},
        observations=found,
        method="Every number of every floating-point tensor read from the bytes and counted",
        limits=("Weights can be finite and still wrong; accuracy and backdoor checks say more.",),
        facts={
            "tensors": len(tensors),
            "numbers": elements,
            "not_finite": broken,
            "subnormal": sum(int(each["subnormal"]) for each in tensors),
            "zeros": sum(int(each["zeros"]) for each in tensors),
        },
    )


def _observations(tensors: list[Tally], artifact: str) -> tuple[Observation, ...]:
    found = [one for tensor in tensors for one in _of_tensor(tensor)]
    if not any(each["elements"] for each in tensors):
        text = "the artifact holds no numbers at all"
        found.append(_observed("weights.none", Severity.MEDIUM, text, artifact))
    return tuple(sorted(found, key=lambda each: (-each.severity.rank, each.location))[:500])


def _of_tensor(tensor: Tally) -> list[Observation]:
    name, kind, place = str(tensor["name"]), str(tensor["kind"]), str(tensor["place"])
    elements, found = int(tensor["elements"]), []
    if tensor["not_finite"]:
        text = f"{name}: {tensor['not_finite']} of {elements} numbers are NaN or infinite"
        found.append(_observed("weights.not_finite", Severity.CRITICAL, text, place))
    if "O" in kind:
        text = f"{name} holds Python objects instead of numbers"
        found.append(_observed("weights.objects", Severity.HIGH, text, place))
    if kind.lstrip(">").startswith("c"):
        text = f"{name} holds complex numbers, which no check here can use"
        found.append(_observed("weights.complex", Severity.MEDIUM, text, place))
    if not elements:
        found.append(_observed("weights.empty", Severity.LOW, f"{name} has no elements", place))
    filled = elements - int(tensor["zeros"])
    if filled >= 16 and int(tensor["subnormal"]) > MOST_SUBNORMAL * filled:
        text = f"{name}: {tensor['subnormal']} of {filled} numbers are subnormal"
        found.append(_observed("weights.subnormal", Severity.MEDIUM, text, place))
    return found


def _observed(rule: str, severity: Severity, text: str, place: str) -> Observation:
    return Observation(rule=rule, severity=severity, detail=text[:300], location=place)
