"""Do manifest, BOM, signature, card and questionnaire agree with the bytes?

The papers are read as text at intake, on the trusted side; this check only gathers what was found.
"""

from tasks.checks.lab import Lab
from tasks.domain.bundle import Subject
from tasks.domain.measurement import Measurement, Observation, Status
from tasks.domain.severity import Severity

FAMILY = "provenance."
_SIGNATURE_STATES = ("valid", "invalid", "unknown_key", "unreadable", "not_available", "absent")
_DOCUMENTS = ("model_card", "datasheet", "bom", "questionnaire")


def measure(lab: Lab) -> Measurement:
    """Returns every provenance observation of the subject, with counts and states as facts."""
    subject = lab.subject
    found = tuple(item for item in subject.observations if item.rule.startswith(FAMILY))
    serious = sum(item.severity.rank >= Severity.MEDIUM.rank for item in found)
    signature = signature_state(found)
    return Measurement(
        check="provenance.manifest",
        version=1,
        status=Status.MEASURED,
        detail=f"{len(subject.files)} files; signature {signature}; BOM {bom_state(found)}; "
        f"{serious} of {len(found)} observations matter.",
        observations=found,
        method="Papers parsed strictly as text and compared with SHA-256 digests of every file",
        facts={
            "files": len(subject.files),
            "bytes": sum(file.size_bytes for file in subject.files),
            "signature": signature,
            "bom": bom_state(found),
            "documents": ", ".join(_present(subject)) or "none",
            "answers": len(subject.answers),
            "contradictions": sum(item.severity.rank >= Severity.HIGH.rank for item in found),
        },
    )


def signature_state(observations: tuple[Observation, ...]) -> str:
    """Returns the state that intake found, ``unknown`` when it did not look."""
    states = (item.rule.removeprefix("provenance.signature.") for item in observations)
    return next((state for state in states if state in _SIGNATURE_STATES), "unknown")


def bom_state(observations: tuple[Observation, ...]) -> str:
    """Returns matches, absent, unreadable or contradicts; silence is unknown."""
    rules = {item.rule.removeprefix("provenance.bom.") for item in observations}
    bom_rules = [item for item in observations if item.rule.startswith("provenance.bom.")]
    known = next((state for state in ("absent", "unreadable", "matches") if state in rules), None)
    return known or ("contradicts" if bom_rules else "unknown")


def _present(subject: Subject) -> list[str]:
    documents = subject.spec.documents.model_dump()
    return [name for name in _DOCUMENTS if documents[name] is not None]
