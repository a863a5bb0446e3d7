"""Questions that the vendor left open, as a form that an operator may fill in.

The form is made from the catalog: its types give the Prefect UI lists, dates and number fields.
What is filled in is kept for the bundle, so that nobody is asked twice and a run that starts again
goes on with the same answers.
"""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field

from tasks.catalog.questionnaires import Question, QuestionnaireEntry
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest, hexadecimal
from tasks.domain.errors import StoreError
from tasks.domain.measurement import Observation
from tasks.intake.answers import AnswerState, questionnaire_observations, review
from tasks.intake.questionnaire import Answer, read_questionnaire, usable_answer
from tasks.store.protocol import ObjectStore

FILLED = "filled/"
WHO = "filled_in_by"
_SEPARATOR = "__"
_REPLACED = {"provenance.questionnaire.unanswered", "provenance.questionnaire.contradiction"}


def open_questions(entry: QuestionnaireEntry, subject: Subject) -> tuple[Question, ...]:
    """Returns the questions without an answer, the required ones first."""
    rows = {row.question: row for row in review(entry, subject).rows}
    left = [one for one in entry.questions if rows[one.id].state is AnswerState.OPEN]
    return tuple(sorted(left, key=lambda question: not question.required))


def form_fields(questions: tuple[Question, ...]) -> dict[str, Any]:
    """Returns field definitions for ``pydantic.create_model``; every question may stay open."""
    who = Field(title="Your name", description="Kept with the answers.", min_length=1)
    fields: dict[str, Any] = {WHO: (Annotated[str, who], ...)}
    for question in questions:
        fields[question.id.replace(".", _SEPARATOR)] = (_type(question) | None, _field(question))
    return fields


def answers_of(
    questions: tuple[Question, ...], given: Mapping[str, Any]
) -> tuple[dict[str, Answer], str]:
    """Returns the usable answers of a filled-in form by question id, and who filled it in."""
    found: dict[str, Answer] = {}
    for question in questions:
        raw = given.get(question.id.replace(".", _SEPARATOR))
        if raw is None or raw == "":
            continue
        answer = usable_answer(question, raw.isoformat() if isinstance(raw, date) else raw)
        if answer is not None:
            found[question.id] = answer
    return found, str(given.get(WHO, ""))


def kept_filled(subject: Digest, store: ObjectStore) -> Digest | None:
    """Returns the subject with the answers that were filled in for it before, if they were."""
    data = store.claimed(FILLED + hexadecimal(subject))
    return None if data is None else Digest(data.decode())


def keep_filled(
    digest: Digest, filled: Mapping[str, Answer], who: str, store: ObjectStore
) -> Digest:
    """Keeps filled-in answers for a bundle; the first to be kept count. Returns the new subject."""
    subject = Subject.parse(store.get(digest))
    whole = store.put(filled_in(subject, filled, who).canonical()).digest
    store.claim(FILLED + hexadecimal(digest), whole.encode())
    kept = kept_filled(digest, store)
    if kept is None:
        raise StoreError(f"{FILLED}{hexadecimal(digest)} was claimed and is gone")
    return kept


def filled_in(subject: Subject, filled: Mapping[str, Answer], who: str) -> Subject:
    """Returns a subject with what an operator filled in, and with the answers judged anew."""
    whole = subject.model_copy(update={"filled": dict(filled), "filled_by": who})
    path = subject.spec.documents.questionnaire or ""
    others = [item for item in subject.observations if item.rule not in _REPLACED]
    told: list[Observation] = []
    if path or filled:
        told = [*questionnaire_observations(review(read_questionnaire(), whole), path)]
    return whole.model_copy(update={"observations": (*others, *told)})


def _type(question: Question) -> Any:
    if question.kind == "choice":
        return Literal[question.choices]
    kinds: dict[str, Any] = {
        "bool": Literal["yes", "no"],  # a box that is not ticked would read as no
        "number": Annotated[float, Field(ge=0)],
        "date": date,
    }
    return kinds.get(question.kind, str)


def _field(question: Question) -> Any:
    unit = f" In {question.unit}." if question.unit else ""
    need = "Required." if question.required else "Optional."
    return Field(default=None, title=question.text, description=f"{question.why}{unit} {need}")
