"""What a questionnaire of the catalog must look like: questions, evidence, weights, references."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from tasks.catalog.schema import Entry, Prose
from tasks.domain.frozen import Frozen
from tasks.domain.ids import EntryId
from tasks.domain.severity import Severity

Section = Literal[
    "use", "data", "training", "security", "privacy", "supply_chain", "incident", "audit",
    "patching",
]  # fmt: skip
Kind = Literal["bool", "choice", "number", "text", "date"]
Document = Literal["model_card", "datasheet", "bom"]
BOOL_FACTS = frozenset(
    {"signed", "bom", "model_card", "datasheet", "training_data", "evaluation_data", "safe_format",
     "endpoint", "dp_training", "licence", "accuracy"}
)  # fmt: skip
NUMBER_FACTS = frozenset({"parameters", "training_rows", "evaluation_rows", "dp_epsilon"})
TEXT_FACTS = frozenset({"artifact_format", "licence_name"})
FACTS = BOOL_FACTS | NUMBER_FACTS | TEXT_FACTS
_KINDS_OF_FACTS: dict[str, tuple[Kind, ...]] = (
    dict.fromkeys(BOOL_FACTS, ("bool",))
    | dict.fromkeys(NUMBER_FACTS, ("number",))
    | dict.fromkeys(TEXT_FACTS, ("choice", "text"))
)


class Evidence(Frozen):
    """What must support an answer, and is verified: a fact of the bundle, or a document in it.

    A fact decides: the answer is confirmed or contradicted. A document only has to be there.
    ``within`` is how far a number may be off, as a part of the fact. ``severity`` is how bad it is
    when an answer claims more than the fact shows.
    """

    fact: str | None = None
    document: Document | None = None
    within: float = Field(default=0.0, ge=0, le=1)
    severity: Severity = Severity.HIGH

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if (self.fact is None) == (self.document is None):
            raise ValueError("evidence is either a fact or a document")
        if self.fact is not None and self.fact not in FACTS:
            raise ValueError(f"no fact is called {self.fact}; known: {', '.join(sorted(FACTS))}")
        return self


class Good(Frozen):
    """Which answers earn the weight of a question; without it every answer does."""

    is_: tuple[bool | str, ...] = Field(default=(), alias="is")
    at_least: float | None = None
    at_most: float | None = None


class QuestionReferences(Frozen):
    """Where the field's own catalogs ask the same."""

    nist_ai_rmf: tuple[
        Annotated[
            str, StringConstraints(pattern=r"^(GOVERN|MAP|MEASURE|MANAGE) [1-9]\.[1-9][0-9]?$")
        ],
        ...,
    ] = ()
    owasp_ml: tuple[Annotated[str, StringConstraints(pattern=r"^ML\d{2}:2023$")], ...] = ()
    owasp_llm: tuple[Annotated[str, StringConstraints(pattern=r"^LLM\d{2}:2025$")], ...] = ()
    atlas: tuple[Annotated[str, StringConstraints(pattern=r"^AML\.[TM]\d{4}(\.\d{3})?$")], ...] = ()
    eu_ai_act: tuple[
        Annotated[str, StringConstraints(pattern=r"^(Article \d{1,3}|Annex [IVX]+)$")], ...
    ] = ()
    other: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise ValueError("a question needs at least one reference")
        return self


class Question(Frozen):
    """One question. ``impact`` marks those from which the risk tier is derived."""

    id: EntryId
    section: Section
    text: Annotated[str, Field(min_length=10, max_length=400, pattern=r"\?$")]
    kind: Kind
    required: bool = True
    choices: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_ -]*$")], ...] = ()
    unit: Annotated[str, Field(max_length=40)] = ""
    evidence: Evidence | None = None
    good: Good | None = None
    weight: int = Field(default=1, ge=0, le=10)
    impact: bool = False
    why: Annotated[str, Field(min_length=10, max_length=600)]
    references: QuestionReferences

    @model_validator(mode="after")
    def _choices_fit(self) -> Self:
        if (self.kind == "choice") != bool(self.choices):
            raise ValueError(f"{self.id}: choices belong to a choice, and only there")
        if len(set(self.choices)) != len(self.choices):
            raise ValueError(f"{self.id}: a choice is given twice")
        return self

    @model_validator(mode="after")
    def _evidence_fits(self) -> Self:
        fact = self.evidence.fact if self.evidence else None
        if fact is not None and self.kind not in _KINDS_OF_FACTS[fact]:
            kinds = " or ".join(_KINDS_OF_FACTS[fact])
            raise ValueError(f"{self.id}: the fact {fact} settles a {kinds}, not a {self.kind}")
        return self

    @model_validator(mode="after")
    def _good_fits(self) -> Self:
        good = self.good
        if good is None:
            return self
        bounded = good.at_least is not None or good.at_most is not None
        if self.kind == "number" and (good.is_ or not bounded):
            raise ValueError(f"{self.id}: a good number has at_least or at_most")
        if self.kind in {"text", "date"} or (self.kind != "number" and bounded):
            raise ValueError(f"{self.id}: a {self.kind} has no such good answer")
        known: tuple[bool | str, ...] = (True, False) if self.kind == "bool" else self.choices
        if strange := [answer for answer in good.is_ if answer not in known]:
            raise ValueError(f"{self.id}: {strange} is no answer to it")
        return self


class QuestionnaireEntry(Entry):
    """A list of questions: ``catalogs/questionnaires/<family>/<name>.yaml``."""

    purpose: Prose
    questions: tuple[Question, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        ids = [question.id for question in self.questions]
        if doubled := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"questions given twice: {', '.join(doubled)}")
        return self

    def question(self, question_id: str) -> Question | None:
        """Returns the question of this id, or None."""
        return next((one for one in self.questions if one.id == question_id), None)
