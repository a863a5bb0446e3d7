"""Risk tiers: how much harm a failure could do, by a rule table of the catalog. Pure.

The worst vote decides, as in the NIST AI RMF (MAP 5.1: likelihood and magnitude of impact) and the
risk classes of the EU AI Act (Article 6, Annex III). What nobody answered never lowers a tier.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tasks.catalog.tiers import Combination, Condition, Factor, TierEntry
from tasks.domain.finding import RiskTier

STANDARD = "risk.standard"
_ORDER = list(RiskTier)
Answer = bool | int | float | str


class Doubts(NamedTuple):
    """How far the answers can be relied on: questions contradicted, part of them open (0 to 1)."""

    contradicted: int = 0
    open_share: float = 0.0


NO_DOUBTS = Doubts()


class Tiering(NamedTuple):
    """A tier and the reasons that led to it."""

    tier: RiskTier
    reasons: tuple[str, ...]


def classify(
    table: TierEntry, answers: Mapping[str, Answer], doubts: Doubts = NO_DOUBTS
) -> Tiering:
    """Returns the tier of the worst vote, with every reason that reaches it.

    Args:
        table: The rules.
        answers: By question id; a question that is not among them is unanswered.
        doubts: What the evidence says of the answers.
    """
    named = {factor.name: answers.get(factor.question) for factor in table.factors}
    votes = [_vote(table, factor, named[factor.name]) for factor in table.factors]
    votes += [(one.tier, one.reason) for one in table.combinations if _holds(one, named)]
    votes += list(_doubtful(table, doubts))
    return _worst(votes)


def vendor_tier(
    table: TierEntry, answers: Mapping[str, Answer], doubts: Doubts = NO_DOUBTS
) -> Tiering:
    """Classifies by a vendor's own answers: they raise a tier, and lower it to ``least`` only."""
    found = classify(table, answers, doubts)
    if not is_below(found.tier, table.least):
        return found
    return Tiering(
        table.least,
        (f"a vendor's own answers bring an asset to {table.least} at the lowest", *found.reasons),
    )


def is_below(tier: str, other: str) -> bool:
    """Answers whether ``tier`` asks for less than ``other``."""
    return _ORDER.index(RiskTier(tier)) < _ORDER.index(RiskTier(other))


def _vote(table: TierEntry, factor: Factor, answer: Answer | None) -> tuple[RiskTier, str]:
    if answer is None:
        return table.unanswered, f"nobody said what {factor.name} is"
    for vote in factor.votes:
        if vote.above is None and _same(vote.answer, answer):
            return vote.tier, vote.reason
    bounds = [vote for vote in factor.votes if vote.above is not None]
    passed = [vote for vote in bounds if _above(answer, vote.above or 0)]
    if passed:
        highest = max(passed, key=lambda vote: vote.above or 0)
        return highest.tier, highest.reason
    if bounds and not isinstance(answer, str):
        return RiskTier.LOW, f"{factor.name} is {answer}"
    return table.unanswered, f"the answer {answer!r} to {factor.name} is not in the table"


def _holds(combination: Combination, named: Mapping[str, Answer | None]) -> bool:
    return all(_meets(condition, named[name]) for name, condition in combination.when.items())


def _meets(condition: Condition, answer: Answer | None) -> bool:
    if answer is None:
        return False
    if condition.above is not None:
        return _above(answer, condition.above)
    return any(_same(wanted, answer) for wanted in condition.is_)


def _doubtful(table: TierEntry, doubts: Doubts) -> Iterator[tuple[RiskTier, str]]:
    values = doubts._asdict()
    for doubt in table.doubts:
        value = values[doubt.measure]
        if value >= doubt.at_least:
            seen = f"{value:.0%}" if doubt.measure == "open_share" else str(value)
            yield doubt.tier, f"{doubt.reason} ({seen})"


def _worst(votes: list[tuple[RiskTier, str]]) -> Tiering:
    tier = max((vote[0] for vote in votes), key=_ORDER.index)
    return Tiering(tier, tuple(reason for voted, reason in votes if voted is tier))


def _same(wanted: object, answer: Answer) -> bool:
    return type(wanted) is type(answer) and wanted == answer


def _above(answer: Answer, bound: float) -> bool:
    return isinstance(answer, int | float) and not isinstance(answer, bool) and answer > bound
