"""The after-action reports of drills: self-contained HTML files, in the style of run reports."""

from importlib import resources

import jinja2

from tasks.catalog.drills import DrillEntry
from tasks.catalog.live_drills import LiveDrillEntry
from tasks.domain.drill import DrillResult
from tasks.domain.live_drill import LiveResult
from tasks.reports.html import number, packaged, shown, style_hash
from tasks.response.live.comparing import compared, same_terms
from tasks.response.live.picture import LANE_WORDS, live_legend, live_timeline
from tasks.response.timeline import legend, timeline

WORDS = {"declare": "Declared", "contain": "Contained", "notify": "Notified"}


def render_after_action(drill: DrillEntry, result: DrillResult) -> str:
    """Returns the report as HTML text."""
    return _rendered(
        "after_action.html.j2",
        drill=drill,
        result=result,
        picture=timeline(drill, result),
        legend=legend(),
        milestone_words=WORDS,
    )


def render_live_fire(
    drill: LiveDrillEntry, result: LiveResult, *, statement: str, before: LiveResult | None
) -> str:
    """Returns the report of a live-fire drill as HTML text.

    Args:
        drill: The entry.
        result: What came out.
        statement: Digest of the signed result.
        before: The last time the same drill was held, to compare with.
    """
    return _rendered(
        "live_fire.html.j2",
        drill=drill,
        result=result,
        statement=statement,
        before=before,
        compared=compared(before, result),
        same_terms=same_terms(before, result),
        picture=live_timeline(result),
        legend=live_legend(),
        lane_words=LANE_WORDS,
    )


def _rendered(template: str, **values: object) -> str:
    style = packaged("report.css")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = number
    environment.filters["shown"] = shown
    folder = resources.files("tasks.response").joinpath("templates")
    text = folder.joinpath(template).read_text("utf-8")
    return environment.from_string(text).render(style=style, style_hash=style_hash(style), **values)
