"""Is the bundle signed by somebody who may speak for the vendor, and is every byte as signed?"""

from tasks.checks.lab import Lab
from tasks.checks.provenance.papers import gathered, measured, state
from tasks.domain.measurement import Measurement

CHECK = "provenance.signature"
STATES = (
    "valid", "invalid", "unknown_key", "wrong_identity", "expired", "unreadable", "not_available",
    "absent",
)  # fmt: skip


def measure(lab: Lab) -> Measurement:
    """Returns what intake found about the signature."""
    found = gathered(lab, CHECK)
    known = state(found, "signature", STATES) or "unknown"
    told = lab.subject.spec.signature
    return measured(
        CHECK,
        found,
        f"The signature is {known.replace('_', ' ')}.",
        method="OpenSSF model signing: DSSE over digests of every file; signer by the operator's "
        "keys, authorities, or Sigstore root",
        facts={"signature": known, "method": told.method if told else None},
        limits=("It proves who signed and that nothing changed since, not that it is good.",),
    )
