"""Does the bill of materials name what came, by digests and licences that hold?"""

from tasks.checks.lab import Lab
from tasks.checks.provenance.papers import gathered, measured, serious, state
from tasks.domain.measurement import Measurement

CHECK = "provenance.bom"


def measure(lab: Lab) -> Measurement:
    """Returns what intake found in the bill of materials."""
    found = gathered(lab, CHECK)
    known = state(found, "bom", ("absent", "unreadable", "matches"))
    if not known:
        known = "contradicts" if found else "unknown"
    return measured(
        CHECK,
        found,
        f"The bill of materials: {known}; {serious(found)} of {len(found)} observations matter.",
        method="CycloneDX or SPDX 3 read strictly; digests compared with the bytes, licences as "
        "SPDX expressions with the claimed one",
        facts={"bom": known},
    )
