"""The form for open questions: what it asks, what it takes, and that it is asked once."""

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError, create_model

from tasks.catalog.reading import Catalog
from tasks.domain.bundle import Subject
from tasks.intake.filling import (
    WHO,
    answers_of,
    form_fields,
    keep_filled,
    kept_filled,
    open_questions,
)
from tests.simulators.store import MemoryStore
from tests.simulators.subjects import linear_subject

ENTRY = Catalog().questionnaire("vendor.standard")
OPEN = open_questions(ENTRY, linear_subject(MemoryStore()))
FORM = create_model("Form", **form_fields(OPEN))


def test_a_form_asks_everything_that_is_open_the_required_first() -> None:
    assert {one.id for one in OPEN} == {one.id for one in ENTRY.questions}
    required = [one.required for one in OPEN]
    assert required == sorted(required, reverse=True)
    answered = linear_subject(MemoryStore()).model_copy(update={"answers": {"use.impact": "none"}})
    assert "use.impact" not in {one.id for one in open_questions(ENTRY, answered)}


def test_a_form_may_be_left_empty_but_for_the_name() -> None:
    assert answers_of(OPEN, FORM(**{WHO: "Eve"}).model_dump()) == ({}, "Eve")
    with pytest.raises(ValidationError):
        FORM()


@pytest.mark.parametrize(
    ("field", "given", "kept"),
    [
        ("use__impact", "serious", "serious"), ("supply__signed", "no", False),
        ("use__users", 12, 12), ("patching__support_until", "2028-02-29", "2028-02-29"),
        ("origin__developer", "  our own team ", "our own team"), ("origin__developer", "", None),
    ],
)  # fmt: skip
def test_answers_keep_their_types(field: str, given: Any, kept: Any) -> None:
    form = FORM(**{WHO: "Eve", field: given})
    found, _ = answers_of(OPEN, form.model_dump())
    assert found.get(field.replace("__", ".")) == kept


@pytest.mark.parametrize(
    ("field", "given"),
    [("use__impact", "huge"), ("use__users", -1), ("supply__signed", "perhaps"),
     ("patching__support_until", "2026-02-30")],
)  # fmt: skip
def test_nonsense_is_refused_by_the_form(field: str, given: Any) -> None:
    with pytest.raises(ValidationError):
        FORM(**{WHO: "Eve", field: given})


def test_dates_reach_the_subject_as_text() -> None:
    found, _ = answers_of(OPEN, {"training__last_trained": date(2026, 1, 31)})
    assert found == {"training.last_trained": "2026-01-31"}


def test_what_was_filled_in_first_counts_and_is_weighed() -> None:
    store = MemoryStore()
    digest = store.put(linear_subject(store).canonical()).digest
    assert kept_filled(digest, store) is None
    first = keep_filled(digest, {"supply.bom": True}, "Eve", store)
    assert keep_filled(digest, {"supply.bom": False}, "Mallory", store) == first
    assert kept_filled(digest, store) == first
    whole = Subject.parse(store.get(first))
    assert (whole.filled, whole.filled_by, whole.answers) == ({"supply.bom": True}, "Eve", {})
    assert "provenance.questionnaire.contradiction" in {one.rule for one in whole.observations}
