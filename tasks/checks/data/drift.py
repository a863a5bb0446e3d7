"""Does the data still look like the version of it that was accepted last?"""

from tasks.checks.drift.columns import measure_pair
from tasks.checks.drift.pair import Pair, enough
from tasks.checks.lab import Lab, NotApplicable, NotAvailable
from tasks.domain.bundle import DataSpecs
from tasks.domain.errors import InvalidInputError
from tasks.domain.measurement import Measurement
from tasks.intake.comparison import Roles, count, plan, survey

CHECK, VERSION = "data.drift", 1
ROLES = ("training", "evaluation")
_LIMITS = (
    "Each column by itself: a change of dependence alone is not seen.",
    "Between the edges of cells a distance may be larger by the share of the heaviest cell.",
    "Rows are taken as independent; series and repeated rows make intervals too narrow.",
)


def measure(lab: Lab) -> Measurement:
    """Counts both versions in the cells of the accepted one, and ranks what moved."""
    baseline = lab.subject.baseline
    if baseline is None or not baseline.asset:
        raise NotApplicable("no other version of it was accepted before")
    role = _role(lab, baseline.data)
    try:
        both = _pair(lab, role)
    except InvalidInputError as reason:
        raise NotAvailable(f"the {role} data cannot be compared: {reason.message}") from reason
    found = measure_pair(
        lab,
        enough(both),
        check=CHECK,
        version=VERSION,
        roles=("feature", "label"),
        limits=_LIMITS,
    )
    return found.model_copy(
        update={
            "detail": f"{role} data against {baseline.asset} ({baseline.run}): {found.detail}",
            "facts": {**found.facts, "accepted_run": baseline.run, "role": role},
        }
    )


def _role(lab: Lab, accepted: DataSpecs) -> str:
    """Returns the first role that both versions have data of."""
    for role in ROLES:
        now = lab.subject.spec.data.of(role)
        if now is not None and accepted.of(role) is not None and lab.subject.file(now.path):
            return role
    raise NotAvailable("the accepted version and this one have no data of the same role")


def _pair(lab: Lab, role: str) -> Pair:
    baseline, now = lab.subject.baseline, lab.subject.spec.data.of(role)
    assert baseline is not None and now is not None, "the role was chosen because both are there"  # noqa: PT018
    last = baseline.last(role)
    if last is None:
        raise NotAvailable(f"the file of the accepted {role} data is not known")
    before, current = lab.path(last.path), lab.path(now.path)
    sample, _ = survey(before, lab.sandbox)
    labels = baseline.data.of(role)
    named = labels.labels if labels is not None and labels.labels in sample else None
    layout = plan([sample], Roles(labels=named))
    return Pair(*(count(file, layout, lab.sandbox, seed=lab.seed) for file in (before, current)))
