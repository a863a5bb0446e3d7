"""Decides about a canary: wait, promote, roll back, or ask a person. Pure: no input, no output.

A canary becomes champion when its baseline is complete: as many quiet signed nights as days are
asked for, traffic that shows it at work, no alarm. It is rolled back as soon as one piece of
evidence speaks against it. What stays unknown until the longest baseline is over is for a person
to decide: silence is not success.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from tasks.domain.digest import Digest
from tasks.domain.estimate import Estimate
from tasks.domain.finding import Outcome, Verdict
from tasks.domain.night import AssetNight
from tasks.domain.severity import Severity
from tasks.domain.signal import Signal
from tasks.statistics.intervals import binomial, difference

Answer = Literal["wait", "promote", "rollback", "ask"]


class Rules(NamedTuple):
    """What a baseline must show.

    ``error_margin`` is how much more often than the champion a canary may fail a request (without
    a champion: how often at all); it counts as worse when the whole 95 % interval lies beyond.
    """

    days: int = 7
    longest_days: int = 14
    requests: int = 200
    error_margin: float = 0.01


class Traffic(NamedTuple):
    """Requests that one version answered, and how many it failed (HTTP status 500 and above)."""

    requests: int = 0
    failed: int = 0


class QuietNight(NamedTuple):
    """One signed night's row of the canary, with the digest of the night's statement."""

    night: str
    row: AssetNight
    statement: Digest


class Baseline(NamedTuple):
    """All that is known about a canary since ``began``; signals with the digests they lie under."""

    asset: str
    began: datetime
    nights: tuple[QuietNight, ...] = ()
    signals: tuple[tuple[Digest, Signal], ...] = ()
    canary: Traffic = Traffic()
    champion: Traffic | None = None

    @property
    def quiet_days(self) -> tuple[str, ...]:
        """Dates with a night that looked at the canary and found nothing wrong."""
        quiet = {
            one.night[:10]
            for one in self.nights
            if not one.row.alarming and one.row.happened != "failed"
        }
        return tuple(sorted(quiet))


class Ruling(NamedTuple):
    """What is to be done and why; ``look_again`` when waiting, ``evidence`` what speaks for it."""

    answer: Answer
    reasons: tuple[str, ...]
    evidence: tuple[Digest, ...] = ()
    look_again: datetime | None = None


def rule(baseline: Baseline, rules: Rules, now: datetime) -> Ruling:
    """Decides about a canary at the moment ``now``."""
    against = _against(baseline, rules)
    if against:
        return Ruling("rollback", tuple(words for words, _ in against), _all(against))
    doubts = _doubts(baseline)
    if doubts:
        return Ruling("ask", tuple(words for words, _ in doubts), _all(doubts))
    missing = _missing(baseline, rules, now)
    if not missing:
        quiet = tuple(one.statement for one in baseline.nights)
        days = len(baseline.quiet_days)
        told = f"{days} quiet nights and {baseline.canary.requests} requests since"
        return Ruling("promote", (f"{told} {baseline.began:%Y-%m-%d}",), quiet)
    ends = baseline.began + timedelta(days=rules.longest_days)
    if now >= ends:
        return Ruling("ask", (f"the longest baseline ended on {ends:%Y-%m-%d}", *missing))
    whole = baseline.began + timedelta(days=rules.days)
    return Ruling("wait", missing, look_again=whole if now < whole else now + timedelta(days=1))


def _against(baseline: Baseline, rules: Rules) -> list[tuple[str, tuple[Digest, ...]]]:
    found: list[tuple[str, tuple[Digest, ...]]] = [
        (f"night {one.night}: {_told(one.row)}", (one.statement,))
        for one in baseline.nights
        if _speaks_against(one.row)
    ]
    found += [
        (f"{signal.kind} ({signal.severity}): {signal.reason}", (digest,))
        for digest, signal in baseline.signals
        if signal.severity.rank >= Severity.HIGH.rank
    ]
    worse = _excess(baseline)
    if worse is not None and worse.low > rules.error_margin:
        than = "than the champion" if baseline.champion and baseline.champion.requests else "at all"
        told = (
            f"it fails {worse.value:.1%} more requests {than} (95 % interval from {worse.low:.1%})"
        )
        found.append((told, ()))
    return found


def _doubts(baseline: Baseline) -> list[tuple[str, tuple[Digest, ...]]]:
    """Returns what neither proves anything against the canary nor lets it pass."""
    found: list[tuple[str, tuple[Digest, ...]]] = [
        (f"night {one.night}: {_told(one.row)}", (one.statement,))
        for one in baseline.nights
        if one.row.alarming and one.row.happened != "failed"
    ]
    return found + [
        (f"{signal.kind} ({signal.severity}): {signal.reason}", (digest,))
        for digest, signal in baseline.signals
        if signal.severity is Severity.MEDIUM
    ]


def _speaks_against(row: AssetNight) -> bool:
    """Whether a night proves something: a refusal, a check that fails now, a barred vendor.

    A check that became undecided proves nothing.
    """
    fails = any(change.worse and change.after is Outcome.FAIL for change in row.changes)
    barred = bool(row.problem) and row.happened != "failed"
    return row.verdict == Verdict.REFUSED or fails or barred


def _excess(baseline: Baseline) -> Estimate | None:
    """Returns how much more often the canary fails than the champion, with its interval."""
    ours, theirs = baseline.canary, baseline.champion
    if not ours.requests:
        return None
    if theirs is None or not theirs.requests:
        return binomial(ours.failed, ours.requests)
    return difference((ours.failed, ours.requests), (theirs.failed, theirs.requests))


def _missing(baseline: Baseline, rules: Rules, now: datetime) -> tuple[str, ...]:
    told: list[str] = []
    age = now - baseline.began
    if age < timedelta(days=rules.days):
        told.append(f"{age.days} of {rules.days} days are over")
    quiet = len(baseline.quiet_days)
    if quiet < rules.days:
        told.append(f"{quiet} of {rules.days} nights looked at it")
    if baseline.canary.requests < rules.requests:
        told.append(f"{baseline.canary.requests} of {rules.requests} requests were answered")
    return tuple(told)


def _told(row: AssetNight) -> str:
    if row.problem:
        return row.problem
    if row.verdict != row.verdict_before:
        return f"the verdict was {row.verdict_before}, is {row.verdict}"
    worse = [change.check for change in row.changes if change.worse]
    return f"{', '.join(worse)} reassure no more"


def _all(found: Sequence[tuple[str, tuple[Digest, ...]]]) -> tuple[Digest, ...]:
    return tuple(digest for _, digests in found for digest in digests)
