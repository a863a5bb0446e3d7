"""The vendor's answers as they came: read strictly, fitted to the questions, oddities noted."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from tasks.catalog.questionnaires import Question, QuestionnaireEntry
from tasks.catalog.reading import shared_catalog
from tasks.domain.errors import InvalidInputError
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.names import shown
from tasks.intake.strict_yaml import parse_yaml

STANDARD = "vendor.standard"
Answer = bool | int | float | str
_YES = {"yes": True, "y": True, "true": True, "no": False, "n": False, "false": False}
_MOST_TEXT = 4_000
_HEAD = frozenset({"schema", "questionnaire", "version"})


def read_questionnaire(entry_id: str = STANDARD) -> QuestionnaireEntry:
    """Returns a questionnaire of the catalog. Raises ``CatalogError`` when it is broken."""
    return shared_catalog().questionnaire(entry_id)


def parse_answers(data: bytes, *, place: str) -> dict[str, Any]:
    """Returns answers by question id from ``answers: {id: answer}`` (or a bare mapping).

    Raises:
        InvalidInputError: Not strict YAML, not a mapping, or of another questionnaire.
    """
    value = parse_yaml(data, place=place)
    if not isinstance(value, dict):
        raise InvalidInputError(f"{place} is not a mapping of answers.")
    asked = value.get("questionnaire", STANDARD)
    if asked != STANDARD:
        raise InvalidInputError(f"{place} answers {shown(str(asked))}, asked was {STANDARD}.")
    answers = value.get("answers", {k: v for k, v in value.items() if k not in _HEAD})
    if not isinstance(answers, dict):
        raise InvalidInputError(f"{place}: 'answers' is not a mapping.")
    return answers


def fit_answers(
    entry: QuestionnaireEntry, given: Mapping[str, Any], *, path: str
) -> tuple[dict[str, Answer], tuple[Observation, ...]]:
    """Returns the usable answers, and which were of the wrong kind or to no question."""
    usable: dict[str, Answer] = {}
    found: list[Observation] = []
    for question in entry.questions:
        raw = given.get(question.id)
        if raw is None or raw == "":
            continue
        answer = usable_answer(question, raw)
        if answer is None:
            detail = f"{question.id}: {shown(str(raw), 80)} is no {question.kind} answer"
            found.append(observed("unusable_answer", Severity.LOW, detail, path))
        else:
            usable[question.id] = answer
    return usable, (*found, *_unknown(entry, given, path))


def usable_answer(question: Question, raw: Any) -> Answer | None:
    """Returns an answer in the type of its question, or None when it is none."""
    if isinstance(raw, list) and question.kind in {"text", "choice"}:
        raw = ", ".join(str(item) for item in raw)
    if question.kind == "bool":
        return raw if isinstance(raw, bool) else _YES.get(str(raw).strip().lower())
    if question.kind == "number":
        number = isinstance(raw, int | float) and not isinstance(raw, bool)
        return raw if number and raw >= 0 else None
    text = str(raw).strip()[:_MOST_TEXT]
    if question.kind == "choice":
        return text.lower() if text.lower() in question.choices else None
    if question.kind == "date":
        return text if _is_day(text) else None
    return text or None


def impact_answers(
    answers: Mapping[str, Answer], entry: QuestionnaireEntry | None = None
) -> dict[str, Answer]:
    """Returns the answers from which a risk tier is derived, by question id."""
    questions = (entry or read_questionnaire()).questions
    return {q.id: answers[q.id] for q in questions if q.impact and q.id in answers}


def observed(rule: str, severity: Severity, detail: str, location: str) -> Observation:
    """Builds an observation about the questionnaire."""
    return Observation(
        rule=f"provenance.questionnaire.{rule}",
        severity=severity,
        detail=detail[:2000],
        location=location,
    )


def _unknown(
    entry: QuestionnaireEntry, given: Mapping[str, Any], path: str
) -> Iterator[Observation]:
    if unknown := sorted(set(given) - {question.id for question in entry.questions}):
        names = ", ".join(shown(name, 60) for name in unknown[:5])
        detail = f"{len(unknown)} answers belong to no question: {names}"
        yield observed("unknown_answer", Severity.LOW, detail, path)


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
