"""Does the bundle need packages with known vulnerabilities?"""

from tasks.checks.lab import Lab, NotApplicable, NotAvailable
from tasks.checks.provenance.papers import gathered, measured
from tasks.domain.measurement import Measurement

CHECK = "provenance.advisories"


def measure(lab: Lab) -> Measurement:
    """Returns every known vulnerability of a declared package, by the operator's advisories."""
    found = gathered(lab, CHECK)
    declared = any(
        item.rule == "provenance.dependencies.declared" for item in lab.subject.observations
    )
    if not declared:
        raise NotApplicable("the bundle declares no packages that it needs")
    source = [item.detail for item in found if item.rule == f"{CHECK}.source"]
    if not source:
        raise NotAvailable(
            "no source of advisories is set up: point the setting 'advisories' at OSV JSON"
        )
    hit = [item for item in found if item.rule == f"{CHECK}.vulnerable"]
    return measured(
        CHECK,
        found,
        f"{len(hit)} known vulnerabilities; {source[0]}.",
        method="OSV advisories of the ecosystem PyPI; versions ordered by PEP 440",
        facts={"vulnerabilities": len(hit), "source": source[0]},
        limits=(
            "What nobody has reported, or the copy does not hold yet, is not found.",
            "Packages that the declared ones need in turn are seen only when they are listed.",
        ),
    )
