"""The JSON document of a run: what ``onboard --json`` and ``report --format json`` print."""

from typing import Any

from tasks.domain.run import RunRecord
from tasks.ledger.seal import Sealed


def summary(record: RunRecord, sealed: Sealed, report: str) -> dict[str, Any]:
    """Returns the document; ``report`` is the path of the HTML report on this machine."""
    return {
        "run": record.run,
        "asset": record.asset,
        "tier": record.tier,
        "verdict": record.decision.verdict.value,
        "reasons": list(record.decision.reasons),
        "conditions": list(record.decision.conditions),
        "findings": [finding.model_dump(mode="json") for finding in record.findings],
        "evidence": {"statement": sealed.statement, "ledger_index": sealed.ledger_index},
        "report": report,
        "tiering": record.plan.tiering.model_dump(mode="json") if record.plan.tiering else None,
    }
