"""May this vendor hand anything in, and does its own key vouch for the bundle?

The register is read at intake, on the trusted side; this check only gathers what was found there.
"""

from tasks.checks.lab import Lab
from tasks.domain.measurement import Measurement, Status
from tasks.domain.vendor import BARRED, vendor_key
from tasks.intake.vouching import FAMILY

CHECK, VERSION = "governance.vendor", 1


def measure(lab: Lab) -> Measurement:
    """Returns what the vendor register has against the bundle."""
    vendor = lab.subject.spec.vendor
    found = tuple(item for item in lab.subject.observations if item.rule.startswith(FAMILY))
    barred = next((item for item in found if item.rule.removeprefix(FAMILY) in BARRED), None)
    refused = f"{barred.detail}; nothing of it is opened" if barred else None
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=refused or f"{vendor.name}: {len(found)} entries of the register speak against it.",
        observations=found,
        method="Vendor register and key bindings, as they stood at intake",
        facts={"vendor": vendor_key(vendor.name), "contact": vendor.contact, "refused": refused},
        limits=("A vendor that nobody entered counts as prospective, which bars nothing.",),
    )
