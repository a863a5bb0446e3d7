"""Which tier holds, and who said so: a table of askings and approvals."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.approving import Granted, grants_of, tier_decision
from tasks.domain.approval import Approval, Grant
from tasks.domain.digest import digest_of
from tasks.domain.finding import RiskTier
from tasks.ledger.approvals import Held
from tests.simulators.store import MemoryStore
from tests.simulators.subjects import linear_subject

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
STORE = MemoryStore()
SUBJECT = linear_subject(STORE)
ASSET = SUBJECT.spec.asset
BUNDLE = digest_of(b"bundle")
OWN, OTHER = "aa" * 32, "bb" * 32


def approval(**changed: Any) -> Approval:
    told: dict[str, Any] = {
        "kind": "tier", "asset": ASSET, "tier": "low", "reason": "a pilot", "by": "Alice",
        "issued": NOW - timedelta(days=1), "expires": NOW + timedelta(days=30),
    }  # fmt: skip
    return Approval.model_validate(told | changed)


def held(made: Approval, problem: str = "", keyid: str = OTHER) -> Held:
    return Held(made.name, digest_of(b"envelope"), made, keyid, problem)


def granted(*rows: Held) -> Granted:
    return grants_of(rows, ASSET, BUNDLE, own_key=OWN, now=NOW, store=STORE)


LOW = granted(held(approval())).tiers
CASES: dict[str, tuple[str | None, tuple[Grant, ...], str, str]] = {
    "nothing said": (None, (), "medium", "answers"),
    "raised": ("high", (), "high", "operator"),
    "raised in spite of an approval": ("high", LOW, "high", "operator"),
    "lowered alone": ("low", (), "low", "operator"),
    "lowered with approval": ("low", LOW, "low", "approval"),
    "approved and not asked for": (None, LOW, "low", "approval"),
    "approved lower than asked": ("medium", LOW, "medium", "answers"),
    "an approval never raises": (
        None, granted(held(approval(tier="high"))).tiers, "medium", "answers",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_tier_and_who_said_so(name: str) -> None:
    asked, tiers, chosen, by = CASES[name]
    found = tier_decision(SUBJECT, RiskTier(asked) if asked else None, Granted(tiers=tiers))
    assert (found.computed, found.chosen, found.by) == (RiskTier.MEDIUM, chosen, by)
    assert found.unapproved is (name == "lowered alone")
    assert (found.grant is not None) is (by == "approval")
    assert found.reasons


def test_an_approval_of_too_high_a_tier_is_not_enough() -> None:
    critical = SUBJECT.model_copy(update={"answers": {"use.impact": "critical"}})
    tiers = granted(held(approval(tier="medium"))).tiers
    assert tier_decision(critical, None, Granted(tiers=tiers)).by == "approval"
    assert tier_decision(critical, RiskTier.LOW, Granted(tiers=tiers)).unapproved


def test_only_approvals_that_stand_are_granted_and_the_others_are_named() -> None:
    expired = approval(expires=NOW - timedelta(hours=1))
    other = approval(asset="Other/model@1")
    found = granted(
        held(expired), held(other), held(approval(), problem="not in the ledger"),
        Held("approval-x", None, None, "", "nobody here trusts the key"),
    )  # fmt: skip
    assert found.tiers == ()
    told = " ".join(found.notes)
    assert len(found.notes) == 3
    for words in ("expired on 2026-05-01", "not in the ledger", "nobody here trusts"):
        assert words in told


def test_a_finding_is_accepted_on_its_own_bundle_only() -> None:
    made: dict[str, Any] = {
        "kind": "finding", "tier": None, "run": "run-1", "check": "a.check",
        "measurement": digest_of(b"m"),
    }  # fmt: skip
    here = held(approval(**made, subject=BUNDLE))
    elsewhere = held(approval(**made, subject=digest_of(b"other")))
    found = granted(here, elsewhere)
    assert [grant.name for grant in found.findings] == [here.name]
    assert found.tiers == ()


def test_the_key_that_seals_runs_is_told_apart() -> None:
    own = granted(held(approval(), keyid=OWN)).tiers[0]
    assert (own.separate, LOW[0].separate) == (False, True)
    assert "key that also seals runs" in own.told
    assert "Alice until 2026-05-31" in LOW[0].told
