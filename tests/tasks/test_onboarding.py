"""Tiers by the vendor's answers, gatekeepers, and new attempts; the flow has tests of its own."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import approving, onboarding
from tasks.approving import computed_tier
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest, digest_of
from tasks.domain.execution import Execution
from tasks.domain.finding import RiskTier
from tasks.domain.measurement import Measurement, Status
from tasks.intake.questionnaire import fit_answers, read_questionnaire
from tasks.onboarding import blocked_reason, plan_onboarding
from tasks.runtime import Services
from tasks.sandbox.protocol import Limits
from tasks.settings import Settings
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore
from tests.simulators.subjects import linear_subject

SUBJECT = linear_subject(MemoryStore())
HARMLESS: dict[str, Any] = {
    "use.impact": "none",
    "use.data_sensitivity": "public",
    "use.autonomy": "advises",
    "use.exposure": "internal",
    "use.users": 3,
    "use.regulated_use": False,
}
ORDER = list(RiskTier)


def tier(**answers: Any) -> RiskTier:
    return computed_tier(SUBJECT.model_copy(update={"answers": answers})).tier


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    made = MemoryStore()
    here = Services(Settings(home=tmp_path), made, DirectSandbox(), Limits())
    monkeypatch.setattr(onboarding, "services", lambda: here)
    monkeypatch.setattr(approving, "services", lambda: here)
    return made


def test_harmless_answers_do_not_lower_the_tier_below_medium() -> None:
    assert tier(**HARMLESS) is RiskTier.MEDIUM


def test_no_answers_are_medium() -> None:
    assert tier() is RiskTier.MEDIUM


@pytest.mark.parametrize(
    "answer", [{"use.impact": "critical"}, {"use.data_sensitivity": "special"},
               {"use.regulated_use": True}],
    ids=lambda answer: next(iter(answer)),
)  # fmt: skip
def test_one_bad_answer_raises_the_tier(answer: dict[str, Any]) -> None:
    assert tier(**(HARMLESS | answer)) is RiskTier.HIGH


@settings(max_examples=30)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "use.impact": st.sampled_from(["none", "minor", "serious", "critical"]),
            "use.data_sensitivity": st.sampled_from(["public", "internal", "personal", "special"]),
            "use.autonomy": st.sampled_from(["advises", "reviewed", "alone"]),
            "use.exposure": st.sampled_from(["internal", "partners", "public"]),
            "use.users": st.integers(0, 10**9),
            "use.regulated_use": st.booleans(),
        },
    ),
    st.sampled_from([{"use.impact": "critical"}, {"use.regulated_use": True}]),
)
def test_a_worse_answer_never_lowers_a_tier(answers: dict[str, Any], worse: dict[str, Any]) -> None:
    before = tier(**answers)
    assert before is not RiskTier.LOW
    assert ORDER.index(tier(**(answers | worse))) >= ORDER.index(before)


@pytest.mark.parametrize(
    "answers",
    [{"use.impact": "<script>"}, {"use.users": -5}, {"use.users": "many"}, {"colour": "blue"},
     {"use.users": 10**30}, {"use.regulated_use": "perhaps"}, {"use.autonomy": 3},
     {"use.exposure": ["internal"]}, {"use.data_sensitivity": {"a": 1}}],
    ids=str,
)  # fmt: skip
def test_answers_that_make_no_sense_count_as_none(answers: dict[str, Any]) -> None:
    usable, _ = fit_answers(read_questionnaire(), answers, path="answers.yaml")
    kept = Subject.parse(SUBJECT.model_copy(update={"answers": usable}).canonical())
    assert computed_tier(kept).tier is RiskTier.MEDIUM


def executed(store: MemoryStore, check: str, **fields: Any) -> Execution:
    facts: dict[str, Any] = {
        "check": check, "version": 1, "status": Status.MEASURED, "detail": "measured",
    }  # fmt: skip
    measurement = Measurement(**(facts | fields))
    return Execution(
        check=check,
        spec=digest_of(check.encode()),
        measurement=store.put(measurement.canonical()).digest,
        seconds=0,
        reused=False,
        sandbox="L3",
    )


def test_quiet_gatekeepers_block_nothing(store: MemoryStore) -> None:
    assert blocked_reason([executed(store, "artifact.scan")]) == ""


def test_a_model_that_was_not_scanned_is_not_opened(store: MemoryStore) -> None:
    assert "artifact.scan did not look" in blocked_reason([])
    assert blocked_reason([executed(store, "artifact.behaviour")])
    assert blocked_reason([executed(store, "artifact.scan", status=Status.NOT_AVAILABLE)])


def test_a_refusal_or_a_broken_gatekeeper_blocks(store: MemoryStore) -> None:
    told = blocked_reason(
        [
            executed(store, "artifact.scan", facts={"refused": "it runs os.system"}),
            executed(store, "artifact.behaviour", status=Status.ERROR, detail="child died"),
        ]
    )
    assert "artifact.scan: it runs os.system" in told
    assert "artifact.behaviour broke: child died" in told


def test_an_operator_may_lower_the_tier(store: MemoryStore) -> None:
    digest = store.put(linear_subject(store).canonical()).digest
    assert plan_onboarding(digest, battery=None, tier=None).plan.tier == "medium"
    assert plan_onboarding(digest, battery=None, tier="low").plan.tier == "low"


def test_a_run_that_was_never_sealed_is_planned_again(store: MemoryStore) -> None:
    digest = store.put(linear_subject(store).canonical()).digest
    first, second = (plan_onboarding(digest, battery=None, tier=None) for _ in range(2))
    assert (first.sealed, first.plan) == (False, second.plan)


def test_a_verdict_about_an_address_is_good_for_a_day(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = linear_subject(store).model_dump(mode="json")
    document["spec"]["model"] |= {
        "artifact": None,
        "architecture": None,
        "endpoint": {"url": "https://models.example/infer"},
    }
    asked = store.put(Subject.model_validate(document).canonical()).digest
    kept = store.put(linear_subject(store).canonical()).digest

    def runs(day: int) -> list[str]:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> "Clock":
                return cls(2026, 1, day, 12, tzinfo=tz)

        monkeypatch.setattr(onboarding, "datetime", Clock)
        return [plan_onboarding(each, battery=None, tier=None).plan.run for each in (asked, kept)]

    first, again, later = runs(1), runs(1), runs(2)
    assert first == again
    assert later[0] != first[0]
    assert later[1] == first[1]


def test_errors_lead_to_a_new_attempt(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    digest: Digest = store.put(linear_subject(store).canonical()).digest
    first = plan_onboarding(digest, battery=None, tier=None).plan.run

    def sealed(_: Any, run: str) -> tuple[str, None] | None:
        return ("record", None) if run == first else None

    monkeypatch.setattr(onboarding, "sealed_run", sealed)
    monkeypatch.setattr(onboarding, "has_errors", lambda _: True)
    again = plan_onboarding(digest, battery=None, tier=None)
    assert (again.plan.attempt, again.sealed) == (2, False)
    monkeypatch.setattr(onboarding, "has_errors", lambda _: False)
    same = plan_onboarding(digest, battery=None, tier=None)
    assert (same.plan.run, same.sealed) == (first, True)
