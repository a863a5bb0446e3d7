"""How far do the vendor's answers reach, and how far do they hold?

Every question is held against the facts and documents of the bundle; what an answer earned and
what the bundle shows are told beside each other.
"""

from collections import Counter

from tasks.catalog.reading import Catalog
from tasks.checks.lab import Lab, NotAvailable
from tasks.domain.estimate import Estimate
from tasks.domain.frozen import canonical_json
from tasks.domain.measurement import Measurement, Observation, Status
from tasks.domain.severity import Severity
from tasks.intake.answers import AnswerState, Review, Row, questionnaire_observations, review
from tasks.intake.questionnaire import STANDARD

CHECK, VERSION = "governance.questionnaire", 1
FAMILY = "provenance.questionnaire."


def measure(lab: Lab) -> Measurement:
    """Scores the answers; contradicted and open ones earn nothing."""
    subject = lab.subject
    if not subject.answers and not subject.filled:
        raise NotAvailable("the vendor answered no questionnaire; hand one in or fill it in")
    reviewed = review(Catalog().questionnaire(STANDARD), subject)
    path = subject.spec.documents.questionnaire or ""
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=_detail(reviewed),
        estimates={
            "score": Estimate.exact(reviewed.score, n=sum(row.counts for row in reviewed.rows)),
            "open_share": Estimate.exact(
                reviewed.open_share, n=sum(row.required for row in reviewed.rows)
            ),
        },
        observations=(*questionnaire_observations(reviewed, path), *_weak(reviewed, path)),
        limits=(
            "Answers that no fact of the bundle settles are the vendor's word.",
            "A document that backs an answer is looked for; whether it says so a person must read.",
        ),
        method="Weight earned over weight possible; facts of the bundle decide where there are any",
        facts={
            "questionnaire": f"{reviewed.questionnaire} version {reviewed.version}",
            "answered": reviewed.answered,
            "contradicted": len(reviewed.contradicted),
            "filled_in_by_an_operator": len(subject.filled),
        },
        artifacts=(
            lab.keep(
                "answers",
                title="Every question, its answer, what the bundle shows, and what it earned",
                media_type="application/json",
                data=canonical_json([_plain(row) for row in reviewed.rows]),
            ),
        ),
        cost=lab.cost,
    )


def _detail(reviewed: Review) -> str:
    states = Counter(row.state for row in reviewed.rows)
    told = ", ".join(f"{states[state]} {state.value}" for state in AnswerState if states[state])
    return f"Score {reviewed.score:.2f} on {len(reviewed.rows)} questions: {told}."


def _weak(reviewed: Review, path: str) -> list[Observation]:
    """Notes answers that are poor, or that nothing in the bundle backs."""
    found = []
    for row in reviewed.rows:
        if row.state is AnswerState.UNSUPPORTED:
            found.append(_noted("unsupported", f"{row.question}: nothing in the bundle backs it"))
        elif not row.good and row.state in {AnswerState.STATED, AnswerState.CONFIRMED}:
            found.append(_noted("poor_answer", f"{row.question} is answered {row.answer}"))
    return [item.model_copy(update={"location": path}) for item in found]


def _noted(rule: str, detail: str) -> Observation:
    return Observation(rule=FAMILY + rule, severity=Severity.LOW, detail=detail[:2000])


def _plain(row: Row) -> dict[str, object]:
    return row.model_dump(mode="json") | {"earned": row.earned}
