"""Risk tiers: how much harm a failure could do, from a few answers about the use. Pure.

The worst answer decides, as in the NIST AI RMF (MAP 5.1: likelihood and magnitude of impact) and
the risk classes of the EU AI Act (Article 6, Annex III). What nobody answered never lowers a tier.
"""

from typing import Literal, NamedTuple

from pydantic import Field

from tasks.domain.finding import RiskTier
from tasks.domain.frozen import Frozen

MANY_USERS = 1_000
VERY_MANY_USERS = 100_000
_ORDER = list(RiskTier)


class ImpactAnswers(Frozen):
    """What is known about the use of an asset. None means that nobody answered."""

    impact: Literal["none", "minor", "serious", "critical"] | None = None
    """Worst credible harm to a person or the enterprise when the asset is wrong."""
    data_sensitivity: Literal["public", "internal", "personal", "special"] | None = None
    """Most sensitive data it sees or was trained on; special: GDPR Article 9."""
    autonomy: Literal["advises", "reviewed", "alone"] | None = None
    """Whether a person decides, can stop it in time, or neither."""
    exposure: Literal["internal", "partners", "public"] | None = None
    """Who can send inputs to it."""
    users: int | None = Field(default=None, ge=0)
    """People affected in a month."""
    regulated_use: bool | None = None
    """Whether the use is listed as high-risk by law (EU AI Act Annex III or alike)."""


class Tiering(NamedTuple):
    """A tier and the answers that led to it."""

    tier: RiskTier
    reasons: tuple[str, ...]


_BY_ANSWER: dict[str, dict[object, tuple[RiskTier, str]]] = {
    "impact": {
        "none": (RiskTier.LOW, "a wrong answer does no harm"),
        "minor": (RiskTier.LOW, "a wrong answer does minor harm"),
        "serious": (RiskTier.MEDIUM, "a wrong answer can do serious harm"),
        "critical": (RiskTier.HIGH, "a wrong answer can do critical harm"),
    },
    "data_sensitivity": {
        "public": (RiskTier.LOW, "the data is public"),
        "internal": (RiskTier.LOW, "the data is internal"),
        "personal": (RiskTier.MEDIUM, "the data is personal"),
        "special": (RiskTier.HIGH, "the data is of a special category"),
    },
    "autonomy": {
        "advises": (RiskTier.LOW, "a person decides"),
        "reviewed": (RiskTier.LOW, "a person can stop it in time"),
        "alone": (RiskTier.MEDIUM, "it acts alone"),
    },
    "exposure": {
        "internal": (RiskTier.LOW, "only own people can query it"),
        "partners": (RiskTier.LOW, "only partners can query it"),
        "public": (RiskTier.MEDIUM, "anybody can query it"),
    },
    "regulated_use": {
        False: (RiskTier.LOW, "the use is not listed as high-risk"),
        True: (RiskTier.HIGH, "the use is listed as high-risk by law"),
    },
}


def risk_tier(answers: ImpactAnswers) -> Tiering:
    """Returns the tier of the worst answer, with every answer that reaches it.

    An unanswered question counts as medium. Two combinations are worse than their parts: serious
    harm without a person in between, and personal data of very many people, are high.
    """
    votes = [_vote(name, getattr(answers, name)) for name in _BY_ANSWER]
    votes += [_users(answers.users), *_combinations(answers)]
    tier = max((vote[0] for vote in votes), key=_ORDER.index)
    return Tiering(tier, tuple(reason for voted, reason in votes if voted is tier))


def _vote(name: str, answer: object) -> tuple[RiskTier, str]:
    if answer is None:
        return RiskTier.MEDIUM, f"nobody said what {name} is"
    return _BY_ANSWER[name][answer]


def _users(users: int | None) -> tuple[RiskTier, str]:
    if users is None:
        return RiskTier.MEDIUM, "nobody said how many users there are"
    tier = RiskTier.MEDIUM if users > MANY_USERS else RiskTier.LOW
    return tier, f"{users} people are affected in a month"


def _combinations(answers: ImpactAnswers) -> list[tuple[RiskTier, str]]:
    found: list[tuple[RiskTier, str]] = []
    if answers.impact == "serious" and answers.autonomy == "alone":
        found.append((RiskTier.HIGH, "it acts alone where a wrong answer can do serious harm"))
    many = answers.users is not None and answers.users > VERY_MANY_USERS
    if answers.data_sensitivity == "personal" and many:
        found.append((RiskTier.HIGH, f"it sees personal data of over {VERY_MANY_USERS} people"))
    return found
