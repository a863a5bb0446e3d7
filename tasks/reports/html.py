"""The HTML report: one self-contained file, verdict first, nothing loaded, nothing executed.

The content security policy forbids everything but the file's own style sheet (by hash) and
``data:`` images. Every vendor string is escaped by the template engine.
"""

import base64
import functools
import hashlib
from collections.abc import Callable, Mapping
from importlib import resources
from typing import NamedTuple

import jinja2

from tasks.catalog.reading import Catalog
from tasks.catalog.schema import CheckEntry
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.execution import Execution
from tasks.domain.finding import Decision, Finding, Outcome
from tasks.domain.measurement import Artifact, Measurement
from tasks.domain.spec import RunPlan
from tasks.reports.pictures import Picture, pictures
from tasks.sandbox.protocol import Sandbox

_ORDER = [
    Outcome.FAIL,
    Outcome.ERROR,
    Outcome.UNDECIDED,
    Outcome.NOT_AVAILABLE,
    Outcome.PASS,
    Outcome.NOT_APPLICABLE,
]
MOST_OBSERVATIONS = 50


class Story(NamedTuple):
    """Everything the report tells."""

    plan: RunPlan
    subject: Subject
    executions: tuple[Execution, ...]
    measurements: Mapping[str, Measurement]
    findings: tuple[Finding, ...]
    decision: Decision
    sandbox: Sandbox
    artifact: Callable[[Digest], bytes]


class Section(NamedTuple):
    """One finding with all that explains it."""

    finding: Finding
    measurement: Measurement
    entry: CheckEntry
    execution: Execution
    pictures: tuple[Picture, ...]


def render_html(story: Story) -> str:
    """Returns the report as HTML text."""
    style = packaged("report.css")
    sections = sorted(_sections(story), key=_urgency)
    return _template().render(
        story=story,
        run=story.plan.run,
        sections=sections,
        style=style,
        style_hash=style_hash(style),
        counts=_counts(story.findings),
        unrun=[part for part in sections if part.finding.outcome in _ORDER[1:4]],
        most_observations=MOST_OBSERVATIONS,
    )


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["shown"] = shown
    return environment.from_string(packaged("run.html.j2"))


def number(value: float) -> str:
    """Returns a number in four significant digits, without a needless exponent."""
    return f"{value:.4g}" if abs(value) < 1e5 else f"{value:.3e}"


def shown(text: str, most: int = 600) -> str:
    """Returns vendor text with control and direction characters made visible, and cut."""
    head = text[:most]
    visible = "".join(ch if ch.isprintable() or ch == "\n" else f"\\u{ord(ch):04x}" for ch in head)
    if len(text) <= most and len(visible) <= most:
        return visible
    return f"{visible[:most]} … ({len(text)} characters)"


def _sections(story: Story) -> list[Section]:
    catalog = Catalog()
    executions = {execution.check: execution for execution in story.executions}
    return [
        Section(
            finding=finding,
            measurement=(measurement := story.measurements[finding.check]),
            entry=catalog.check(finding.check),
            execution=executions[finding.check],
            pictures=_pictures(finding, measurement.artifacts, story.artifact),
        )
        for finding in story.findings
    ]


def _pictures(
    finding: Finding, artifacts: tuple[Artifact, ...], read: Callable[[Digest], bytes]
) -> tuple[Picture, ...]:
    return tuple(
        picture
        for artifact in artifacts
        for picture in pictures(finding, artifact, read(artifact.digest))
    )


def _urgency(section: Section) -> tuple[int, int, str]:
    finding = section.finding
    return _ORDER.index(finding.outcome), -finding.severity.rank, finding.check


def _counts(findings: tuple[Finding, ...]) -> dict[str, int]:
    return {
        outcome.value: sum(finding.outcome is outcome for finding in findings)
        for outcome in _ORDER
        if any(finding.outcome is outcome for finding in findings)
    }


def packaged(name: str) -> str:
    """Returns a text file of the templates folder."""
    return resources.files("tasks.reports").joinpath("templates", name).read_text("utf-8")


def style_hash(style: str) -> str:
    """Returns what a content security policy calls this style sheet: SHA-256, base64."""
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
