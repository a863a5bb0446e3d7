"""Answers against the bundle: both values, the credit, and who answered."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.catalog.questionnaires import QuestionnaireEntry
from tasks.catalog.reading import Catalog
from tasks.domain.bundle import Claims, Documents, Subject
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.answers import AnswerState, Row, facts_of, questionnaire_observations, review
from tests.simulators.store import MemoryStore
from tests.simulators.subjects import linear_subject

ENTRY = Catalog().questionnaire("vendor.standard")
PLAIN = linear_subject(MemoryStore())


def subject(*rules: str, **changed: Any) -> Subject:
    seen = tuple(Observation(rule=rule, severity=Severity.INFO, detail="seen") for rule in rules)
    spec = PLAIN.spec.model_copy(
        update={name: changed.pop(name) for name in ("documents", "claims") if name in changed}
    )
    return PLAIN.model_copy(update={"spec": spec, "observations": seen} | changed)


def row(question: str, answer: Any, here: Subject) -> Row:
    reviewed = review(ENTRY, here.model_copy(update={"answers": {question: answer}}))
    return next(one for one in reviewed.rows if one.question == question)


VALID, ABSENT = "provenance.signature.valid", "provenance.signature.absent"
SIZE = {"parameters": 1000, "artifact_format": "onnx"}
CASES: dict[str, tuple[str, Any, Subject, str]] = {
    "signed and it is": ("supply.signed", True, subject(VALID), "confirmed"),
    "signed and it is not": ("supply.signed", True, subject(ABSENT), "contradicted"),
    "not signed and it is": ("supply.signed", False, subject(VALID), "contradicted"),
    "signed by a stranger's key": (
        "supply.signed", True, subject(VALID, "governance.vendor.foreign_key"), "contradicted",
    ),
    "signed by nobody's key": (
        "supply.signed", True, subject(VALID, "governance.vendor.unbound_key"), "unsupported",
    ),
    "signed in a way nobody can check here": (
        "supply.signed", True, subject("provenance.signature.not_available"), "unsupported",
    ),
    "size as it is": ("training.parameters", 1000, subject(facts=SIZE), "confirmed"),
    "size rounded": ("training.parameters", 1049, subject(facts=SIZE), "confirmed"),
    "size of another model": ("training.parameters", 1051, subject(facts=SIZE), "contradicted"),
    "size that nobody can count": ("training.parameters", 7, subject(), "unsupported"),
    "format as it is": ("supply.safe_format", True, subject(facts=SIZE), "confirmed"),
    "format that runs code": (
        "supply.safe_format", True, subject(facts={"artifact_format": "pickle"}), "contradicted",
    ),
    "backed by a paper": (
        "supply.dependencies_watched", True, subject(documents=Documents(bom="b")), "stated",
    ),
    "backed by nothing": ("supply.dependencies_watched", True, subject(), "unsupported"),
    "no needs no paper": ("supply.dependencies_watched", False, subject(), "stated"),
    "licence stated": (
        "origin.licence_stated", True, subject(claims=Claims(licence="MIT")), "confirmed",
    ),
    "nothing can settle it": ("incident.notice_hours", 24, subject(), "stated"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_answer_stands_as_the_bundle_shows(name: str) -> None:
    question, answer, here, state = CASES[name]
    found = row(question, answer, here)
    assert (found.state, found.answer, found.by) == (state, answer, "vendor")


def test_a_contradiction_tells_both_values() -> None:
    found = row("training.parameters", 5000, subject(facts=SIZE))
    assert "5000 parameters" in found.detail
    assert "1000 parameters" in found.detail
    assert (found.shows, found.severity) == (1000, Severity.MEDIUM)


def test_saying_too_much_is_worse_than_saying_too_little() -> None:
    over = row("supply.signed", True, subject(ABSENT))
    under = row("supply.signed", False, subject(VALID))
    assert (over.severity, under.severity) == (Severity.HIGH, Severity.MEDIUM)


@pytest.mark.parametrize(
    ("question", "answer", "earned"),
    [
        ("patching.critical_days", 30, 3.0), ("patching.critical_days", 31, 0.0),
        ("service.right_to_audit", True, 3.0), ("service.right_to_audit", False, 0.0),
        ("supply.dependencies_watched", True, 1.0), ("incident.notice_hours", 72, 2.0),
    ],
)  # fmt: skip
def test_only_good_answers_earn_their_weight(question: str, answer: Any, earned: float) -> None:
    assert row(question, answer, subject()).earned == earned


def test_an_operator_fills_in_what_is_open_and_nothing_else() -> None:
    here = PLAIN.model_copy(
        update={
            "answers": {"use.impact": "serious"},
            "filled": {"use.impact": "none", "use.users": 5},
        }
    )
    rows = {one.question: one for one in review(ENTRY, here).rows}
    assert (rows["use.impact"].answer, rows["use.impact"].by) == ("serious", "vendor")
    assert (rows["use.users"].answer, rows["use.users"].by) == (5, "operator")


def test_open_questions_are_named_and_weigh() -> None:
    reviewed = review(ENTRY, PLAIN)
    assert (reviewed.score, reviewed.open_share, reviewed.answered) == (0.0, 1.0, 0)
    [told] = questionnaire_observations(reviewed, "q.yaml")
    assert (told.rule, told.severity) == ("provenance.questionnaire.unanswered", Severity.MEDIUM)
    assert "service.right_to_audit" in told.detail


def test_every_fact_of_the_schema_is_told() -> None:
    from tasks.catalog.questionnaires import FACTS  # noqa: PLC0415 - one test

    assert set(facts_of(PLAIN)) == FACTS


def answer_for(entry: QuestionnaireEntry) -> st.SearchStrategy[dict[str, Any]]:
    by_kind: dict[str, st.SearchStrategy[Any]] = {
        "bool": st.booleans(), "number": st.integers(0, 10**9) | st.floats(0, 1e9),
        "text": st.text(min_size=1, max_size=20), "date": st.dates().map(str),
    }  # fmt: skip
    return st.fixed_dictionaries(
        {},
        optional={
            one.id: st.sampled_from(one.choices) if one.choices else by_kind[one.kind]
            for one in entry.questions
        },
    )


@settings(max_examples=40)
@given(answer_for(ENTRY), st.sampled_from([PLAIN, subject(VALID, facts=SIZE)]))
def test_a_score_lies_between_nothing_and_everything(
    answers: dict[str, Any], here: Subject
) -> None:
    reviewed = review(ENTRY, here.model_copy(update={"answers": answers}))
    assert 0 <= reviewed.score <= 1
    assert reviewed.answered == len(answers)
    for one in reviewed.rows:
        assert 0 <= one.earned <= one.weight
        if one.state is AnswerState.CONTRADICTED:
            assert one.detail
            assert one.earned == 0
