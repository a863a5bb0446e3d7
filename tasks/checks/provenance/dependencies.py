"""Do the packages that the bundle needs come from where they should, under their own names?"""

from tasks.checks.lab import Lab, NotApplicable
from tasks.checks.provenance.papers import gathered, measured, serious
from tasks.domain.measurement import Measurement

CHECK = "provenance.dependencies"


def measure(lab: Lab) -> Measurement:
    """Returns what intake found in dependency files and the BOM's packages."""
    found = gathered(lab, CHECK)
    absent = [item for item in found if item.rule == f"{CHECK}.absent"]
    declared = [item.detail for item in found if item.rule == f"{CHECK}.declared"]
    if not declared and len(absent) == len(found):
        raise NotApplicable("the bundle declares no packages that it needs")
    return measured(
        CHECK,
        found,
        f"{declared[0] if declared else 'no package is declared'}; "
        f"{serious(found)} of {len(found)} observations matter.",
        method="Files parsed as text, nothing resolved or installed; names compared with "
        "well-known ones by edits, look-alike letters, separators and word order",
        facts={"declared": declared[0] if declared else None},
    )
