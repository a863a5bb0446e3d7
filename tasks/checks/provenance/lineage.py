"""Is it proven how model and data were made: from which code, data and settings, by whom?"""

from tasks.checks.lab import Lab
from tasks.checks.provenance.papers import gathered, measured, serious, state
from tasks.domain.measurement import Measurement

CHECK = "provenance.lineage"


def measure(lab: Lab) -> Measurement:
    """Returns what intake found in attestations and dataset cards."""
    found = gathered(lab, CHECK)
    lineage = state(found, "lineage", ("absent", "unreadable", "verified")) or "not believed"
    card = state(found, "croissant", ("absent", "unreadable", "matches")) or "with gaps"
    return measured(
        CHECK,
        found,
        f"Lineage {lineage}; dataset card {card}; "
        f"{serious(found)} of {len(found)} observations matter.",
        method="in-toto statements with SLSA provenance, verified by the operator's keys and by "
        "the digests of the bytes; Croissant cards compared with the bytes",
        facts={"lineage": lineage, "dataset_card": card},
    )
