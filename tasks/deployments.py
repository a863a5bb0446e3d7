"""Every deployment: which flow, when, how many at once, and how it is called in the UI.

``proofhouse serve`` runs them on one machine; ``infra/prefect.yaml`` gives the same ones to a work
pool. A test holds the two against each other.
"""

from typing import Any, NamedTuple


class Deployment(NamedTuple):
    """One deployment. ``at_once`` 0 means as many as asked for.

    Of a deployment with a limit, a run that comes too early is cancelled: the next one of its
    schedule does the same work.
    """

    name: str
    entrypoint: str
    description: str
    tags: tuple[str, ...] = ()
    cron: str = ""
    at_once: int = 0
    parameters: dict[str, Any] = {}


DEPLOYMENTS = (
    Deployment(
        "onboard-model",
        "flows/onboarding.py:onboard_model",
        "Quarantine to signed verdict for one vendor's bundle.",
        ("intake",),
        parameters={"ask": False},
    ),
    Deployment(
        "take-in-drops",
        "flows/intake.py:take_in_drops",
        "Onboards bundles that were dropped into a folder or bucket, each content once.",
        ("intake",),
    ),
    Deployment(
        "review-dataset",
        "flows/dataset_review.py:review_dataset",
        "Scan, validation and search for poison in data, to a signed verdict.",
        ("intake",),
        parameters={"ask": False},
    ),
    Deployment(
        "assess-asset",
        "flows/assessment.py:assess_asset",
        "One battery's questions about a known asset or a bundle.",
        ("assurance",),
    ),
    Deployment(
        "retrain-model",
        "flows/retraining.py:retrain_model",
        "New models of an asset under a privacy budget, kept for onboarding.",
        ("response",),
    ),
    Deployment(
        "harden-model",
        "flows/hardening.py:harden_model",
        "What each defence adds against an attacker who knows of it; hardened models kept.",
        ("response",),
    ),
    Deployment(
        "repair-model",
        "flows/repairing.py:repair_model",
        "What each repair leaves of a hidden trigger; repaired models kept.",
        ("response",),
    ),
    Deployment(
        "watch-drift",
        "flows/drift.py:watch_drift",
        "What a model meets now against what it was judged on, to a signed verdict.",
        ("assurance",),
    ),
    Deployment(
        "respond-to-incident",
        "flows/incident.py:respond_to_incident",
        "A playbook followed step by step; waits for people in forms.",
        ("response",),
    ),
    Deployment(
        "hold-drill",
        "flows/drill.py:hold_drill",
        "A drill in typed forms, or a live-fire one; scored, kept, reported.",
        ("response", "drill"),
    ),
    Deployment(
        "drill-monthly",
        "flows/drill.py:hold_drill",
        "The tabletop that was held longest ago, on the first Tuesday of a month.",
        ("response", "drill"),
        cron="0 9 * * 2#1",
    ),
    Deployment(
        "live-fire-monthly",
        "flows/drill.py:hold_drill",
        "The live-fire drill that was held longest ago, compared with its last time.",
        ("response", "drill"),
        cron="0 10 * * 2#2",
        at_once=1,
        parameters={"drill": "next_live"},
    ),
    Deployment(
        "answer-alarms",
        "flows/alarms.py:answer_alarms",
        "Starts the playbooks that are for an alarm, once each.",
        ("response",),
        cron="20 * * * *",
        at_once=1,
    ),
    Deployment(
        "reassess-nightly",
        "flows/nightly.py:reassess_nightly",
        "Every live asset once more; what changed is measured, explained and signed.",
        ("assurance", "nightly"),
        cron="15 2 * * *",
        at_once=1,
    ),
    Deployment(
        "watch-canaries",
        "flows/canary.py:watch_canaries",
        "Promotes or rolls back new versions on the evidence of their baseline.",
        ("assurance", "registry"),
        cron="15 7 * * *",
    ),
    Deployment(
        "keep-house",
        "flows/retention.py:keep_house",
        "All evidence verified again; leftovers and old flow runs removed.",
        ("assurance",),
        cron="15 4 * * 0",
        at_once=1,
    ),
    Deployment(
        "sync-registry",
        "flows/registry_sync.py:sync_registry",
        "The inventory and MLflow show again what the promotion log says.",
        ("registry",),
        at_once=1,
    ),
    Deployment(
        "roll-back-model",
        "flows/rollback.py:roll_back_model",
        "The previous champion serves again, the present one is out of service.",
        ("response", "registry"),
        at_once=1,
    ),
)
TAG = "proofhouse"
