"""Answers held against what the bundle shows: confirmed, contradicted, unsupported or open. Pure.

A questionnaire is the vendor's word. Where a fact of the bundle settles a question, the fact
decides, and both values are told; where a document must back an answer, it has to be there.
"""

from collections.abc import Iterator
from enum import StrEnum

from tasks.catalog.questionnaires import Evidence, Good, Question, QuestionnaireEntry
from tasks.domain.bundle import Subject
from tasks.domain.frozen import Frozen
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.names import shown
from tasks.intake.questionnaire import Answer, observed
from tasks.intake.vouching import FAMILY

_SAFE_FORMATS = frozenset({"onnx", "safetensors"})
_SIGNATURE = "provenance.signature."
_UNSETTLED = {_SIGNATURE + "not_available", FAMILY + "unbound_key"}

_WORDS = {
    "signed": "valid signature by a key of this vendor",
    "bom": "bill of materials",
    "safe_format": "format that is safe to open",
    "dp_training": "stated epsilon",
    "licence": "stated licence",
    "accuracy": "stated accuracy",
}


class AnswerState(StrEnum):
    """How an answer stands."""

    CONFIRMED = "confirmed"  # a fact of the bundle agrees
    STATED = "stated"  # nothing in the bundle can settle it, or its document came along
    UNSUPPORTED = "unsupported"  # the fact or document that should back it did not come
    CONTRADICTED = "contradicted"
    OPEN = "open"


CREDIT = {
    AnswerState.CONFIRMED: 1.0,
    AnswerState.STATED: 1.0,
    AnswerState.UNSUPPORTED: 0.5,
    AnswerState.CONTRADICTED: 0.0,
    AnswerState.OPEN: 0.0,
}


class Row(Frozen):
    """One question with its answer, what the bundle shows, and what the answer earned."""

    question: str
    section: str
    answer: Answer | None
    by: str
    shows: Answer | None
    state: AnswerState
    good: bool
    weight: int
    required: bool
    detail: str = ""
    severity: Severity = Severity.INFO

    @property
    def counts(self) -> bool:
        """Whether the question takes part in the score: optional ones only when answered."""
        return self.required or self.state is not AnswerState.OPEN

    @property
    def earned(self) -> float:
        """The part of the weight that the answer earned."""
        return self.weight * CREDIT[self.state] if self.good else 0.0


class Review(Frozen):
    """All questions of one questionnaire, held against one bundle."""

    questionnaire: str
    version: int
    rows: tuple[Row, ...]

    @property
    def score(self) -> float:
        """Earned weight over possible weight, 0 to 1."""
        possible = sum(row.weight for row in self.rows if row.counts)
        earned = sum(row.earned for row in self.rows if row.counts)
        return round(earned / possible, 6) if possible else 0.0

    @property
    def contradicted(self) -> tuple[Row, ...]:
        """The rows that a fact contradicts."""
        return self._in(AnswerState.CONTRADICTED)

    @property
    def open(self) -> tuple[Row, ...]:
        """The required rows without a usable answer."""
        return tuple(row for row in self._in(AnswerState.OPEN) if row.required)

    @property
    def open_share(self) -> float:
        """Which part of the required questions is open, 0 to 1."""
        required = sum(row.required for row in self.rows)
        return len(self.open) / required if required else 0.0

    @property
    def answered(self) -> int:
        """How many questions have a usable answer."""
        return len(self.rows) - len(self._in(AnswerState.OPEN))

    def _in(self, state: AnswerState) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.state is state)


def facts_of(subject: Subject) -> dict[str, Answer | None]:
    """Returns what the bundle itself shows, by fact; None where it cannot be told."""
    spec, documents, claims = subject.spec, subject.spec.documents, subject.spec.claims
    rows = {data.role: data.rows if data.digest is not None else None for data in subject.datasets}
    kind = subject.facts.get("artifact_format")
    return {
        "signed": _signed(subject),
        "bom": documents.bom is not None and not _seen(subject, "provenance.bom.unreadable"),
        "model_card": documents.model_card is not None,
        "datasheet": documents.datasheet is not None,
        "training_data": rows.get("training") is not None,
        "evaluation_data": rows.get("evaluation") is not None,
        "safe_format": _safe_format(subject, kind),
        "endpoint": spec.model.endpoint is not None,
        "dp_training": claims.dp_epsilon is not None,
        "licence": claims.licence is not None,
        "accuracy": claims.accuracy is not None,
        "parameters": subject.facts.get("parameters"),
        "training_rows": rows.get("training"),
        "evaluation_rows": rows.get("evaluation"),
        "dp_epsilon": claims.dp_epsilon,
        "artifact_format": kind,
        "licence_name": claims.licence,
    }


def review(entry: QuestionnaireEntry, subject: Subject) -> Review:
    """Holds every question against the bundle. Operators' answers fill only what is open."""
    facts = facts_of(subject)
    there = subject.spec.documents.model_dump()
    return Review(
        questionnaire=entry.id,
        version=entry.version,
        rows=tuple(_row(question, subject, facts, there) for question in entry.questions),
    )


def questionnaire_observations(reviewed: Review, path: str) -> Iterator[Observation]:
    """Yields what is open and what is contradicted, with both values."""
    if reviewed.open:
        many = reviewed.open_share > 0.25
        names = ", ".join(row.question for row in reviewed.open)
        detail = f"{len(reviewed.open)} required questions are open: {names}"
        yield observed("unanswered", Severity.MEDIUM if many else Severity.LOW, detail, path)
    for row in reviewed.contradicted:
        yield observed("contradiction", row.severity, row.detail, path)


def _row(
    question: Question,
    subject: Subject,
    facts: dict[str, Answer | None],
    documents: dict[str, str | None],
) -> Row:
    by = "vendor" if question.id in subject.answers else "operator"
    answer = subject.answers.get(question.id, subject.filled.get(question.id))
    evidence = question.evidence
    shows = facts[evidence.fact] if evidence and evidence.fact else None
    state = _state(question, answer, shows, documents)
    contradicted = state is AnswerState.CONTRADICTED
    return Row(
        question=question.id,
        section=question.section,
        answer=answer,
        by=by if answer is not None else "",
        shows=shows,
        state=state,
        good=answer is not None and _is_good(question.good, answer),
        weight=question.weight,
        required=question.required,
        detail=_told(question, answer, shows) if contradicted else "",
        severity=_severity(evidence, answer) if contradicted and evidence else Severity.INFO,
    )


def _state(
    question: Question,
    answer: Answer | None,
    shows: Answer | None,
    documents: dict[str, str | None],
) -> AnswerState:
    evidence = question.evidence
    if answer is None:
        return AnswerState.OPEN
    if evidence is None:
        return AnswerState.STATED
    if evidence.document is not None:
        there = documents[evidence.document] is not None
        # A vendor that says no needs no paper to show for it.
        return AnswerState.STATED if there or answer is False else AnswerState.UNSUPPORTED
    if shows is None:
        return AnswerState.UNSUPPORTED
    agrees = _agrees(answer, shows, evidence.within)
    return AnswerState.CONFIRMED if agrees else AnswerState.CONTRADICTED


def _agrees(answer: Answer, shows: Answer, within: float) -> bool:
    if isinstance(answer, str) or isinstance(shows, str):
        return str(answer).casefold() == str(shows).casefold()
    if isinstance(answer, bool) or isinstance(shows, bool):
        return answer is shows
    return abs(answer - shows) <= within * abs(shows)


def _is_good(good: Good | None, answer: Answer) -> bool:
    if good is None:
        return True
    if isinstance(answer, bool | str):
        return answer in good.is_
    low = good.at_least is None or answer >= good.at_least
    return low and (good.at_most is None or answer <= good.at_most)


def _severity(evidence: Evidence, answer: Answer | None) -> Severity:
    """A vendor that says less than it shows is careless; one that says more is worse."""
    modest = answer is False and evidence.severity.rank > Severity.MEDIUM.rank
    return Severity.MEDIUM if modest else evidence.severity


def _told(question: Question, answer: Answer | None, shows: Answer | None) -> str:
    fact = question.evidence.fact if question.evidence else None
    words = _WORDS.get(fact or "", (fact or "").replace("_", " "))
    if isinstance(answer, bool):
        said, seen = ("yes", "no ") if answer else ("no", "")
        return f"{question.id} is answered {said}, but the bundle shows {seen}{words}"
    unit = f" {question.unit}" if question.unit else ""
    return (
        f"{question.id} is answered {shown(str(answer), 80)}{unit}, but the bundle shows "
        f"{shown(str(shows), 80)}{unit} ({words})"
    )


def _signed(subject: Subject) -> bool | None:
    """A signature counts when it holds and was made by a key of this vendor, if anybody knows."""
    rules = {item.rule for item in subject.observations}
    if rules & _UNSETTLED:
        return None
    return _SIGNATURE + "valid" in rules and FAMILY + "foreign_key" not in rules


def _safe_format(subject: Subject, kind: object) -> bool | None:
    artifact = subject.spec.model.artifact
    if artifact is None:
        return None
    return kind in _SAFE_FORMATS if kind else None


def _seen(subject: Subject, rule: str) -> bool:
    return any(item.rule == rule for item in subject.observations)
