"""The procurement questionnaire: what was asked, what was answered, what contradicts the facts."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from tasks.catalog.reading import catalog_root, parse_entry
from tasks.catalog.schema import Entry
from tasks.domain.bundle import BundleSpec
from tasks.domain.errors import InvalidInputError
from tasks.domain.frozen import Frozen
from tasks.domain.ids import EntryId
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.names import shown
from tasks.intake.strict_yaml import parse_yaml

STANDARD = "vendor.standard"
Answer = bool | int | float | str
Fact = Literal[
    "signed", "bom", "model_card", "datasheet", "training_data", "evaluation_data", "safe_format",
    "endpoint", "dp_training", "licence", "accuracy",
]  # fmt: skip
_SAFE_SUFFIXES = (".safetensors", ".onnx")
_YES = {"yes": True, "y": True, "true": True, "no": False, "n": False, "false": False}
_MOST_TEXT = 4_000


class Question(Frozen):
    """One question. ``evidence`` names the fact of the bundle that a yes or no must agree with.

    ``impact`` marks the answers from which the risk tier is derived.
    """

    id: EntryId
    text: Annotated[str, Field(min_length=10, max_length=400, pattern=r"\?$")]
    kind: Literal["yes_no", "choice", "count", "text"]
    required: bool = True
    choices: tuple[str, ...] = ()
    evidence: Fact | None = None
    impact: bool = False
    why: Annotated[str, Field(min_length=10, max_length=600)]
    references: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if (self.kind == "choice") != bool(self.choices):
            raise ValueError(f"{self.id}: choices belong to a choice, and only there")
        if self.evidence and self.kind != "yes_no":
            raise ValueError(f"{self.id}: evidence can only settle a yes or no")
        return self


class QuestionnaireEntry(Entry):
    """A list of questions: ``catalogs/questionnaires/<family>/<name>.yaml``."""

    purpose: Annotated[str, Field(min_length=10, max_length=2000)]
    questions: tuple[Question, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        ids = [question.id for question in self.questions]
        if doubled := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"questions given twice: {', '.join(doubled)}")
        return self


def read_questionnaire(entry_id: str = STANDARD, root: Path | None = None) -> QuestionnaireEntry:
    """Returns a questionnaire of the catalog. Raises ``CatalogError`` when it is broken."""
    folder = (root or catalog_root()) / "questionnaires"
    path = folder.joinpath(*entry_id.split(".")).with_suffix(".yaml")
    return parse_entry(
        path.read_bytes(),
        QuestionnaireEntry,
        entry_id=entry_id,
        place=f"questionnaires/{path.name}",
    )


def facts_of(spec: BundleSpec) -> dict[Fact, bool]:
    """Returns what the bundle itself shows, as yes or no."""
    artifact = spec.model.artifact or ""
    return {
        "signed": spec.signature is not None,
        "bom": spec.documents.bom is not None,
        "model_card": spec.documents.model_card is not None,
        "datasheet": spec.documents.datasheet is not None,
        "training_data": spec.data.training is not None,
        "evaluation_data": spec.data.evaluation is not None,
        "safe_format": artifact.endswith(_SAFE_SUFFIXES),
        "endpoint": spec.model.endpoint is not None,
        "dp_training": spec.claims.dp_epsilon is not None,
        "licence": spec.claims.licence is not None,
        "accuracy": spec.claims.accuracy is not None,
    }


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


def judge_answers(
    entry: QuestionnaireEntry, given: Mapping[str, Any], spec: BundleSpec, *, path: str
) -> tuple[dict[str, Answer], tuple[Observation, ...]]:
    """Returns the usable answers, and what is missing, unusable, unknown or contradicted."""
    usable: dict[str, Answer] = {}
    found: list[Observation] = []
    missing: list[str] = []
    for question in entry.questions:
        raw = given.get(question.id)
        if raw is None or raw == "":
            missing += [question.id] if question.required else []
            continue
        answer = _usable(question, raw)
        if answer is None:
            detail = f"{question.id}: {shown(str(raw), 80)} is no {question.kind} answer"
            found.append(_observed("unusable_answer", Severity.LOW, detail, path))
            continue
        usable[question.id] = answer
    if missing:
        severity = Severity.MEDIUM if len(missing) > len(entry.questions) // 4 else Severity.LOW
        detail = f"{len(missing)} required questions are open: {', '.join(missing)}"
        found.append(_observed("unanswered", severity, detail, path))
    found += _contradicted(entry, usable, spec, path)
    if unknown := sorted(set(given) - {question.id for question in entry.questions}):
        names = ", ".join(shown(name, 60) for name in unknown[:5])
        detail = f"{len(unknown)} answers belong to no question: {names}"
        found.append(_observed("unknown_answer", Severity.LOW, detail, path))
    return usable, tuple(found)


def impact_answers(
    answers: Mapping[str, Answer], entry: QuestionnaireEntry | None = None
) -> dict[str, Answer]:
    """Returns the answers from which a risk tier is derived, by the last part of their ids.

    The keys are the fields of ``tasks.judging.tiers.ImpactAnswers``.
    """
    questions = (entry or read_questionnaire()).questions
    marked = [question.id for question in questions if question.impact]
    return {name.rpartition(".")[2]: answers[name] for name in marked if name in answers}


_HEAD = frozenset({"schema", "questionnaire", "version"})


def _contradicted(
    entry: QuestionnaireEntry, answers: Mapping[str, Answer], spec: BundleSpec, path: str
) -> Iterator[Observation]:
    facts = facts_of(spec)
    for question in entry.questions:
        answer = answers.get(question.id)
        if question.evidence is None or answer is None:
            continue
        if answer is True and not facts[question.evidence]:
            detail = f"{question.id} is answered yes, but the bundle shows no {question.evidence}"
            yield _observed("contradiction", Severity.HIGH, detail, path)
        elif answer is False and facts[question.evidence]:
            detail = f"{question.id} is answered no, but the bundle shows {question.evidence}"
            yield _observed("contradiction", Severity.MEDIUM, detail, path)


def _usable(question: Question, raw: Any) -> Answer | None:
    if question.kind == "yes_no":
        return raw if isinstance(raw, bool) else _YES.get(str(raw).strip().lower())
    if question.kind == "count":
        return raw if isinstance(raw, int) and not isinstance(raw, bool) and raw >= 0 else None
    if isinstance(raw, list):
        raw = ", ".join(str(item) for item in raw)
    text = str(raw).strip()[:_MOST_TEXT]
    if question.kind == "choice":
        return text.lower() if text.lower() in question.choices else None
    return text or None


def _observed(rule: str, severity: Severity, detail: str, location: str) -> Observation:
    return Observation(
        rule=f"provenance.questionnaire.{rule}",
        severity=severity,
        detail=detail[:2000],
        location=location,
    )
