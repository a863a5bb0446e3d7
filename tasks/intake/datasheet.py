"""The datasheet of a data set: which of the questions of Gebru et al. 2021 it answers.

Source: Datasheets for Datasets, arXiv 1803.09010, sections 3.1 to 3.7, as real sheets head them.
"""

import re
from collections.abc import Iterator

from tasks.domain.errors import InvalidInputError
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.markdown import Card, parse_card
from tasks.intake.model_card import active_observations

_TOPICS = {
    "motivation": r"motivat|purpose|why\b|background|created for|funded",
    "composition": r"compos|content|instances|features|fields|structure|statistics|classes",
    "collection": r"collect|acquir|sampl|source|provenance|origin|who (?:was|were) involved",
    "preprocessing": r"pre-?process|clean|label|annotat|transform|raw",
    "uses": r"\buse[sd]?\b|\btasks?\b|application|should not",
    "distribution": r"distribut|licen[cs]e|copyright|access|download|terms",
    "maintenance": r"mainten|maintain|support|host|contact|updat|erratum|version",
}
_TOPIC = {topic: re.compile(pattern) for topic, pattern in _TOPICS.items()}
_FRONT_KEYS = {"distribution": ("license", "licence"), "maintenance": ("contact", "maintainer")}


def datasheet_observations(data: bytes, *, path: str) -> Iterator[Observation]:
    """Yields which topics the sheet is silent about, and what would act in it.

    Args:
        data: The sheet's bytes (Markdown, front matter allowed).
        path: Where it lies in the bundle.
    """
    try:
        sheet = parse_card(data, place=path)
    except InvalidInputError as error:
        yield _observed("unreadable", Severity.MEDIUM, error.message, path)
        return
    yield from active_observations(data, path=path)
    for topic in missing_topics(sheet):
        yield _observed(f"no_{topic}", Severity.LOW, f"it says nothing of {topic}", path)


def missing_topics(sheet: Card) -> list[str]:
    """Returns the topics that no section with text, and no front matter, speaks of."""
    # The title names the data set; it is no section about anything.
    sections = [s for s in sheet.sections if s.level > 1 or s is not sheet.sections[0]]
    headings = [section.heading.lower() for section in sections if section.body.strip()]
    return [
        topic
        for topic, pattern in _TOPIC.items()
        if not any(pattern.search(heading) for heading in headings)
        and not any(sheet.front.get(key) for key in _FRONT_KEYS.get(topic, ()))
    ]


def _observed(rule: str, severity: Severity, detail: str, location: str) -> Observation:
    return Observation(
        rule=f"provenance.datasheet.{rule}", severity=severity, detail=detail[:2000],
        location=location,
    )  # fmt: skip
