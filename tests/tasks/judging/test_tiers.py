import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.domain.finding import RiskTier
from tasks.judging.tiers import ImpactAnswers, risk_tier

HARMLESS = ImpactAnswers(
    impact="minor",
    data_sensitivity="public",
    autonomy="advises",
    exposure="internal",
    users=20,
    regulated_use=False,
)
LADDERS: dict[str, tuple[object, ...]] = {
    "impact": ("none", "minor", "serious", "critical"),
    "data_sensitivity": ("public", "internal", "personal", "special"),
    "autonomy": ("advises", "reviewed", "alone"),
    "exposure": ("internal", "partners", "public"),
    "users": (0, 1_000, 1_001, 100_001),
    "regulated_use": (False, True),
}


def test_harmless_in_every_way_is_low() -> None:
    tier, reasons = risk_tier(HARMLESS)
    assert tier is RiskTier.LOW
    assert "a person decides" in reasons


@pytest.mark.parametrize(
    ("change", "tier"),
    [
        ({"impact": "serious"}, RiskTier.MEDIUM),
        ({"impact": "critical"}, RiskTier.HIGH),
        ({"data_sensitivity": "special"}, RiskTier.HIGH),
        ({"regulated_use": True}, RiskTier.HIGH),
        ({"exposure": "public"}, RiskTier.MEDIUM),
        ({"users": 5_000}, RiskTier.MEDIUM),
        ({"impact": "serious", "autonomy": "alone"}, RiskTier.HIGH),
        ({"data_sensitivity": "personal", "users": 200_000}, RiskTier.HIGH),
    ],
)
def test_the_worst_answer_decides(change: dict[str, object], tier: RiskTier) -> None:
    found = risk_tier(HARMLESS.model_copy(update=change))
    assert found.tier is tier
    assert found.reasons


@pytest.mark.parametrize("question", LADDERS)
def test_silence_never_lowers_the_tier(question: str) -> None:
    found = risk_tier(HARMLESS.model_copy(update={question: None}))
    assert found.tier is RiskTier.MEDIUM
    assert found.reasons[0].startswith("nobody said")


def test_unknown_answers_are_refused() -> None:
    with pytest.raises(ValidationError):
        ImpactAnswers.model_validate({"impact": "huge"})


@given(st.data())
def test_a_worse_answer_never_lowers_the_tier(data: st.DataObject) -> None:
    chosen = {name: data.draw(st.integers(0, len(ladder) - 1)) for name, ladder in LADDERS.items()}
    which = data.draw(st.sampled_from(sorted(LADDERS)))
    worse = chosen | {which: data.draw(st.integers(chosen[which], len(LADDERS[which]) - 1))}
    order = list(RiskTier)
    ranks = [
        order.index(
            risk_tier(
                ImpactAnswers.model_validate({n: LADDERS[n][i] for n, i in picked.items()})
            ).tier
        )
        for picked in (chosen, worse)
    ]
    assert ranks[1] >= ranks[0]
