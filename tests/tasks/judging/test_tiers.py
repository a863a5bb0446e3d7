from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.catalog.reading import Catalog
from tasks.domain.finding import RiskTier
from tasks.judging.tiers import STANDARD, Doubts, classify, is_below, vendor_tier

TABLE = Catalog().tiers(STANDARD)
HARMLESS: dict[str, Any] = {
    "use.impact": "minor",
    "use.data_sensitivity": "public",
    "use.autonomy": "advises",
    "use.exposure": "internal",
    "use.users": 20,
    "use.regulated_use": False,
}
LADDERS: dict[str, tuple[Any, ...]] = {
    "use.impact": ("none", "minor", "serious", "critical"),
    "use.data_sensitivity": ("public", "internal", "personal", "special"),
    "use.autonomy": ("advises", "reviewed", "alone"),
    "use.exposure": ("internal", "partners", "public"),
    "use.users": (0, 1_000, 1_001, 100_001),
    "use.regulated_use": (False, True),
}


def test_harmless_in_every_way_is_low_for_the_buyer_and_medium_for_the_vendor() -> None:
    tier, reasons = classify(TABLE, HARMLESS)
    assert tier is RiskTier.LOW
    assert "a person decides" in reasons
    told = vendor_tier(TABLE, HARMLESS)
    assert told.tier is RiskTier.MEDIUM
    assert "own answers" in told.reasons[0]


@pytest.mark.parametrize(
    ("change", "tier"),
    [
        ({"use.impact": "serious"}, RiskTier.MEDIUM),
        ({"use.impact": "critical"}, RiskTier.HIGH),
        ({"use.data_sensitivity": "special"}, RiskTier.HIGH),
        ({"use.regulated_use": True}, RiskTier.HIGH),
        ({"use.exposure": "public"}, RiskTier.MEDIUM),
        ({"use.users": 5_000}, RiskTier.MEDIUM),
        ({"use.users": 1_000}, RiskTier.LOW),
        ({"use.users": "many"}, RiskTier.MEDIUM),
        ({"use.impact": "unheard of"}, RiskTier.MEDIUM),
        ({"use.impact": "serious", "use.autonomy": "alone"}, RiskTier.HIGH),
        ({"use.data_sensitivity": "personal", "use.users": 200_000}, RiskTier.HIGH),
    ],
)
def test_the_worst_answer_decides(change: dict[str, Any], tier: RiskTier) -> None:
    found = classify(TABLE, HARMLESS | change)
    assert found.tier is tier
    assert found.reasons


@pytest.mark.parametrize("question", LADDERS)
def test_silence_never_lowers_the_tier(question: str) -> None:
    found = classify(TABLE, {name: HARMLESS[name] for name in HARMLESS if name != question})
    assert found.tier is RiskTier.MEDIUM
    assert found.reasons[0].startswith("nobody said")


@pytest.mark.parametrize(
    ("doubts", "tier"),
    [
        (Doubts(), RiskTier.LOW),
        (Doubts(contradicted=1), RiskTier.MEDIUM),
        (Doubts(contradicted=2), RiskTier.HIGH),
        (Doubts(open_share=0.49), RiskTier.LOW),
        (Doubts(open_share=0.5), RiskTier.MEDIUM),
    ],
)
def test_answers_that_do_not_hold_raise_the_tier(doubts: Doubts, tier: RiskTier) -> None:
    assert classify(TABLE, HARMLESS, doubts).tier is tier


@given(st.data())
def test_a_worse_answer_never_lowers_the_tier(data: st.DataObject) -> None:
    chosen = {name: data.draw(st.integers(0, len(ladder) - 1)) for name, ladder in LADDERS.items()}
    which = data.draw(st.sampled_from(sorted(LADDERS)))
    worse = chosen | {which: data.draw(st.integers(chosen[which], len(LADDERS[which]) - 1))}
    doubts = Doubts(data.draw(st.integers(0, 3)), data.draw(st.floats(0, 1)))
    before, after = (
        vendor_tier(TABLE, {n: LADDERS[n][i] for n, i in picked.items()}, doubts).tier
        for picked in (chosen, worse)
    )
    assert not is_below(after, before)
    assert not is_below(before, RiskTier.MEDIUM)
