"""The report tells everything and obeys nobody."""

import base64
import hashlib
import re
import time
from html.parser import HTMLParser
from typing import Any

import pytest

from tasks.catalog.reading import Catalog
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement
from tasks.domain.run import RunRecord
from tasks.ledger.seal import Sealed
from tasks.reports.html import MOST_OBSERVATIONS, Story, number, render_html, shown
from tasks.reports.json import summary
from tasks.reports.pictures import _DRAWINGS
from tests.simulators.store import MemoryStore
from tests.simulators.subjects import linear_subject
from tests.tasks.reports.stories import (
    DRAWABLE,
    EVIL,
    HALF,
    MISSING,
    ROBUST,
    SCANNED,
    kept,
    measured,
    story,
)

ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "footer", "h1", "h2", "h3",
    "p", "ul", "li", "table", "tr", "th", "td", "span", "strong", "code", "a", "br", "article",
    "details", "summary", "dl", "dt", "dd", "div", "figure", "figcaption", "img",
}  # fmt: skip


class Reading(HTMLParser):
    """What a browser would see: tags, attributes, text by place."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.comments: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return "".join(self.texts)


@pytest.fixture(scope="module")
def told() -> Story:
    return story()


@pytest.fixture(scope="module")
def html(told: Story) -> str:
    return render_html(told)


@pytest.fixture(scope="module")
def read(html: str) -> Reading:
    return Reading(html)


def test_a_stranger_adds_no_tag_and_no_attribute(read: Reading) -> None:
    assert {tag for tag, _ in read.tags} <= ALLOWED
    assert read.comments == []
    names = {name for _, attributes in read.tags for name in attributes}
    assert names <= {
        "lang", "charset", "http-equiv", "content", "name", "class", "id", "href", "alt", "src",
    }  # fmt: skip


def test_a_stranger_changes_no_structure(read: Reading) -> None:
    tame = Reading(render_html(story(lambda store: [measured(SCANNED, store)])))
    for tag in ("script", "style", "title", "header", "html", "body", "meta", "footer"):
        counts = (len(read.all(tag)), len(tame.all(tag)))
        # One header belongs to the verdict, one to each finding.
        assert counts == ((4, 2) if tag == "header" else (counts[1], counts[1])), tag


def test_nothing_is_loaded_and_links_stay_inside(read: Reading) -> None:
    ids = {attributes.get("id") for _, attributes in read.tags} - {None}
    for attributes in read.all("a"):
        target = attributes["href"] or ""
        assert target.startswith("#")
        assert target[1:] in ids
    assert all(
        (image["src"] or "").startswith("data:image/png;base64,") for image in read.all("img")
    )


def test_the_policy_allows_only_the_own_style(html: str, read: Reading) -> None:
    (policy,) = [
        meta["content"] or ""
        for meta in read.all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert html.index("Content-Security-Policy") < html.index("<style>")
    assert "url(" not in style
    assert "@import" not in style


def test_templates_in_vendor_texts_are_not_run(read: Reading) -> None:
    assert "{{7*7}}" in read.text
    assert not re.search(r"\b49\b", read.text)


def test_direction_marks_and_terminal_codes_are_spelled(html: str) -> None:
    assert "\u202e" not in html
    assert "\x1b" not in html
    assert "\x07" not in html
    assert "\\u202e" in html


def test_ten_thousand_observations_and_a_megabyte_stay_small(html: str, told: Story) -> None:
    assert len(html) < 500_000
    assert "A" * 3000 not in html
    assert "(1000000 characters)" in html
    assert f"{10_000 - MOST_OBSERVATIONS} more in the measurement" in html
    started = time.process_time()
    render_html(told)
    assert time.process_time() - started < 5


def test_the_verdict_comes_before_the_findings(html: str) -> None:
    verdict, table = html.index('class="word">Refused'), html.index("Findings at a glance")
    detail = html.index("Findings in detail")
    assert verdict < html.index("Conditions</h3>") < table < detail
    assert table < html.index("What gave no answer, and why") < detail


def test_every_finding_tells_outcome_question_and_evidence(told: Story, html: str) -> None:
    for finding in told.findings:
        start = html.index(f'<article id="{finding.check}"')
        article = Reading(html[start : html.index("</article>", start)])
        assert finding.outcome.value.replace("_", " ") in article.text
        assert finding.question in article.text
        assert finding.evidence
        for digest in finding.evidence:
            assert digest in article.text
        for blind in Catalog().check(finding.check).blind_spots:
            assert blind in article.text


def test_failures_come_first(html: str) -> None:
    assert (
        html.index(f'id="{SCANNED}"') < html.index(f'id="{MISSING}"') < html.index("The run</h2>")
    )


def test_checks_without_an_answer_are_listed_with_the_reason(told: Story, html: str) -> None:
    part = html[html.index("What gave no answer") : html.index("Findings in detail")]
    unrun = [
        finding
        for finding in told.findings
        if finding.outcome in {Outcome.NOT_AVAILABLE, Outcome.ERROR, Outcome.UNDECIDED}
    ]
    assert unrun
    for finding in unrun:
        assert Catalog().check(finding.check).title in part
        assert finding.detail[:20] in Reading(part).text


def test_alarms_controls_limits_and_conditions_are_told(read: Reading) -> None:
    assert read.text.count(EVIL[7]) >= 5  # reasons, conditions, limits, alarms, controls
    assert "Reasons not to trust a reassuring number" in read.text


def test_equal_stories_give_equal_reports(html: str) -> None:
    assert render_html(story()) == html


def test_a_report_without_findings_is_still_whole() -> None:
    html = render_html(story(lambda _: []))
    assert "What gave no answer" not in html
    assert "proofhouse verify run-" in html


def told_with(check: str, name: str, data: bytes) -> Reading:
    def make(store: MemoryStore) -> list[Measurement]:
        estimates = {"robust_accuracy": HALF, "gain": HALF, "accuracy": HALF}
        artifacts = (kept(store, name, data=data, title="what is shown"),)
        return [measured(check, store, estimates=estimates, artifacts=artifacts)]

    return Reading(render_html(story(make, subject=linear_subject(MemoryStore()))))


def test_every_picture_has_an_example_here() -> None:
    elsewhere = {  # in test_pictures and test_drift_pictures
        "attacks.json", "shifts.json", "distributions.json", "evidence.json",
    }  # fmt: skip
    names = {name for _, name in DRAWABLE}
    assert {name for _, name in _DRAWINGS} == names | elsewhere
    assert not names & elsewhere
    ours = {key for key in _DRAWINGS if key[0] != "*" and key[1] not in elsewhere}
    assert ours <= set(DRAWABLE)


@pytest.mark.parametrize(("check", "name"), DRAWABLE, ids=["/".join(key) for key in DRAWABLE])
def test_a_known_artifact_is_drawn(check: str, name: str) -> None:
    read = told_with(check, name, DRAWABLE[check, name])
    (image,) = read.all("img")
    source = image["src"] or ""
    drawn = base64.b64decode(source.removeprefix("data:image/png;base64,"), validate=True)
    assert drawn.startswith(b"\x89PNG\r\n\x1a\n")
    assert b"Matplotlib" not in drawn  # versions and dates would make equal runs differ
    assert image["alt"] == "what is shown"


MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "text": b"not json",
    "cut safetensors": DRAWABLE[ROBUST, "witnesses.safetensors"][:100],
    "huge header": b"\xff" * 16,
    "other json": b'{"curves": 3}',
    "a number": b"3",
    "a list of numbers": b"[1, 2]",
    "no points": b"[]",
    "infinite": b'[{"epsilon": NaN, "robust_accuracy": Infinity, "low": -Infinity, "high": 1}]',
    "very deep": b"[" * 100_000,
    "not text": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize(("check", "name"), DRAWABLE, ids=["/".join(key) for key in DRAWABLE])
def test_a_malformed_artifact_costs_a_picture_and_no_report(
    check: str, name: str, data: bytes
) -> None:
    read = told_with(check, name, data)
    assert len(read.all("img")) <= (data == MALFORMED["infinite"])
    assert "Verify this verdict offline" in read.text


def test_an_unknown_artifact_is_not_drawn() -> None:
    assert told_with(SCANNED, "surprise.bin", b"\x00").all("img") == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.5, "0.5"), (1234.5, "1234"), (1e9, "1.000e+09"), (-2e7, "-2.000e+07")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_shown_cuts_and_spells() -> None:
    assert shown("é\n\u200b") == "é\n\\u200b"
    assert shown("x" * 700) == "x" * 600 + " … (700 characters)"


def test_the_json_summary_names_verdict_and_evidence(told: Story) -> None:
    digest = told.plan.bundle
    record = RunRecord(
        run=told.plan.run,
        asset=told.plan.asset,
        tier="medium",
        subject=digest,
        plan=told.plan,
        findings=told.findings,
        decision=told.decision,
        executions=told.executions,
        objects=(),
        started="2026-01-01T00:00:00Z",
        sealed="2026-01-01T00:00:00Z",
    )
    fields: dict[str, Any] = {"statement": digest, "ledger_index": 3}
    document = summary(record, Sealed.model_validate(fields), "report.html")
    assert document["verdict"] == "refused"
    assert document["evidence"] == fields
    assert [finding["check"] for finding in document["findings"]] == [
        finding.check for finding in told.findings
    ]


def test_a_check_that_is_still_on_trial_says_so(html: str) -> None:
    for name in (SCANNED, MISSING):
        article = Reading(html[html.index(f'<article id="{name}"') :])
        assert Catalog().check(name).lifecycle == "stable"
        assert "experimental" not in article.text[:200]
    trial = "backdoor.twin_inversion"
    shown = told_with(
        trial, "trigger.safetensors", DRAWABLE["backdoor.trigger_inversion", "trigger.safetensors"]
    )
    assert f"{trial} v{Catalog().check(trial).version}, experimental" in shown.text
