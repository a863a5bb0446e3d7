"""Judges what is measured again and again: a failure counts only as far as its alpha allows.

A check that is repeated every night will fail one night by chance. The plan says what chance this
repetition may cost; a failure that does not hold at that level is undecided, which asks a person
to look and never reassures. A pass stays what it is: alarms are rationed here, reassurance is not.
"""

from tasks.catalog.schema import CheckEntry, IntervalGate
from tasks.domain.finding import Finding, Outcome
from tasks.judging.gates import told
from tasks.statistics.wealth import at_alpha


def rationed(finding: Finding, entry: CheckEntry, alpha: float | None) -> Finding:
    """Returns the finding as it stands at ``alpha``; as it is where that does not apply."""
    gate, estimate, threshold = entry.gate, finding.estimate, finding.threshold
    repeated = alpha is not None and finding.outcome is Outcome.FAIL
    if not repeated or not isinstance(gate, IntervalGate) or estimate is None or threshold is None:
        return finding
    assert alpha is not None, "repeated says so"
    wide = at_alpha(estimate, alpha)
    holds = wide.high < threshold if gate.good == "above" else wide.low > threshold
    if holds:
        detail = f"{finding.detail} It holds at the {alpha:.2g} that this repetition may cost."
        return finding.model_copy(update={"detail": detail})
    detail = (
        f"{finding.detail} This is a repetition, and may be a false alarm with chance {alpha:.2g} "
        f"at most: at that level it is {told(wide)}, which holds the threshold."
    )
    return finding.model_copy(update={"outcome": Outcome.UNDECIDED, "detail": detail})
