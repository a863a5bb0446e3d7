"""The after-action report of a drill: one self-contained HTML file, in the style of run reports."""

from importlib import resources

import jinja2

from tasks.catalog.drills import DrillEntry
from tasks.domain.drill import DrillResult
from tasks.reports.html import number, packaged, shown, style_hash
from tasks.response.timeline import legend, timeline

WORDS = {"declare": "Declared", "contain": "Contained", "notify": "Notified"}


def render_after_action(drill: DrillEntry, result: DrillResult) -> str:
    """Returns the report as HTML text."""
    style = packaged("report.css")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = number
    environment.filters["shown"] = shown
    folder = resources.files("tasks.response").joinpath("templates")
    text = folder.joinpath("after_action.html.j2").read_text("utf-8")
    return environment.from_string(text).render(
        drill=drill,
        result=result,
        style=style,
        style_hash=style_hash(style),
        picture=timeline(drill, result),
        legend=legend(),
        milestone_words=WORDS,
    )
