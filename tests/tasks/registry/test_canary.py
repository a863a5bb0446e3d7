"""What follows from what is known about a canary, and that it is done once."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.domain.digest import digest_of
from tasks.domain.errors import InvalidInputError
from tasks.domain.finding import Outcome
from tasks.domain.night import AssetNight, Change, Night
from tasks.domain.severity import Severity
from tasks.domain.signal import Signal
from tasks.ledger.keys import open_signer, trusted_keys
from tasks.ledger.nights import seal_night
from tasks.registry.baseline import baseline_of, report_signal
from tasks.registry.canary import Baseline, QuietNight, Rules, Traffic, rule
from tasks.registry.registering import Why, promote, register
from tasks.registry.ruling import act, watched
from tasks.registry.serving import UnsignedModelError, accepted_model
from tasks.registry.state import model_state
from tests.tasks.registry.homes import MODEL, Home

BEGAN = datetime(2026, 5, 1, 12, tzinfo=UTC)
ASSET, CHAMPION = f"{MODEL}@2", f"{MODEL}@1"
WHY = Why("a test", by="tester")
RULES = Rules(days=7, longest_days=14, requests=200)


def row(**changed: Any) -> AssetNight:
    told: dict[str, Any] = {
        "asset": ASSET, "tier": "medium", "happened": "unchanged", "run": "run-1",
        "verdict": "accepted", "verdict_before": "accepted",
    }  # fmt: skip
    return AssetNight.model_validate(told | changed)


def nights(days: int, **last: Any) -> tuple[QuietNight, ...]:
    """Quiet nights on successive days; the last one as told."""
    rows = [row() for _ in range(days - 1)] + [row(**last)]
    return tuple(
        QuietNight(f"2026-05-{2 + day:02d}-01", one, digest_of(str(day).encode()))
        for day, one in enumerate(rows)
    )


def signal(severity: Severity, **changed: Any) -> Signal:
    told: dict[str, Any] = {
        "asset": ASSET, "kind": "drift", "severity": severity, "reason": "inputs moved",
        "source": "tester", "dated": BEGAN + timedelta(days=1),
    }  # fmt: skip
    return Signal.model_validate(told | changed)


def known(**changed: Any) -> Baseline:
    told: dict[str, Any] = {
        "asset": ASSET, "began": BEGAN, "nights": nights(7), "canary": Traffic(1000, 0),
    }  # fmt: skip
    return Baseline(**(told | changed))


def after(days: float) -> datetime:
    return BEGAN + timedelta(days=days)


def test_a_whole_quiet_baseline_is_promoted_with_its_nights_as_evidence() -> None:
    ruling = rule(known(), RULES, after(7.1))
    assert ruling.answer == "promote"
    assert ruling.evidence == tuple(one.statement for one in nights(7))


WORSE = Change(check="a.b", before=Outcome.PASS, after=Outcome.FAIL)
UNSURE = Change(check="a.b", before=Outcome.PASS, after=Outcome.UNDECIDED)
CASES: dict[str, tuple[Baseline, float, str, str]] = {
    "too early": (known(), 6.9, "wait", "6 of 7 days"),
    "nights are missing": (known(nights=nights(6)), 7.1, "wait", "6 of 7 nights"),
    "two nights of one day are one": (
        known(nights=(*nights(6), *nights(6))), 7.1, "wait", "6 of 7 nights"),
    "nobody asked it anything": (
        known(canary=Traffic()), 7.1, "wait", "0 of 200 requests"),
    "a night could not look": (
        known(nights=nights(7, happened="failed", problem="store")), 7.1, "wait", "6 of 7 nights"),
    "and never will": (known(canary=Traffic()), 14.0, "ask", "the longest baseline ended"),
    "a refused night": (
        known(nights=nights(2, happened="reassessed", verdict="refused")), 2.0, "rollback",
        "the verdict was accepted, is refused"),
    "a finding got worse": (
        known(nights=nights(3, happened="reassessed", changes=(WORSE,))), 3.0, "rollback",
        "a.b reassure no more"),
    "a check became undecided": (
        known(nights=nights(7, happened="reassessed", changes=(UNSURE,))), 7.1, "ask",
        "a.b reassure no more"),
    "a night asks for review": (
        known(nights=nights(7, happened="reassessed", verdict="needs_review")), 7.1, "ask",
        "the verdict was accepted, is needs_review"),
    "the vendor was suspended": (
        known(nights=nights(3, problem="the vendor is suspended")), 3.0, "rollback", "suspended"),
    "a high signal": (
        known(signals=((digest_of(b"s"), signal(Severity.HIGH)),)), 1.0, "rollback", "(high)"),
    "a medium signal": (
        known(signals=((digest_of(b"s"), signal(Severity.MEDIUM)),)), 7.1, "ask", "drift (medium)"),
    "a low signal": (
        known(signals=((digest_of(b"s"), signal(Severity.LOW)),)), 7.1, "promote", "7 quiet"),
    "it fails often": (known(canary=Traffic(1000, 50)), 1.0, "rollback", "at all"),
    "so does the champion": (
        known(canary=Traffic(1000, 50), champion=Traffic(1000, 50)), 7.1, "promote", "7 quiet"),
    "more than the champion": (
        known(canary=Traffic(1000, 80), champion=Traffic(1000, 20)), 1.0, "rollback",
        "than the champion"),
    "a few failures prove nothing": (known(canary=Traffic(200, 3)), 7.1, "promote", "7 quiet"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_follows(name: str) -> None:
    baseline, days, answer, words = CASES[name]
    ruling = rule(baseline, RULES, after(days))
    assert ruling.answer == answer, ruling
    assert any(words in reason for reason in ruling.reasons), ruling.reasons
    assert (ruling.look_again is not None) == (answer == "wait")


def test_waiting_looks_again_at_the_end_of_the_baseline_and_then_daily() -> None:
    assert rule(known(), RULES, after(1)).look_again == after(7)
    late = rule(known(nights=nights(5)), RULES, after(8)).look_again
    assert late == after(9)


def one_canary(home: Home) -> datetime:
    """A champion, and a canary that began just now."""
    for version, alias in (("1", "champion"), ("2", "canary")):
        register(home.seal(version).run, home.registry, WHY)
        promote(f"{MODEL}@{version}", alias, home.registry, WHY)  # type: ignore[arg-type]
    found = baseline_of(model_state(MODEL, home.registry), home.registry)
    assert found is not None
    return found.began


def seal_night_of(home: Home, when: datetime, **told: Any) -> None:
    stamp = when.isoformat(timespec="seconds").replace("+00:00", "Z")
    night = Night(
        night=f"{when:%Y-%m-%d}-01", started=stamp, ended=stamp, alpha=0.05,
        code=digest_of(b"code"), assets=(row(**told), row(asset="Other/x@1", verdict="refused")),
    )  # fmt: skip
    seal_night(
        night,
        store=home.store,
        signer=open_signer(None, home=home.path),
        trust=trusted_keys(home.path),
    )


def telemetry(home: Home, when: datetime, rows: list[tuple[str, str, int]], name: str) -> None:
    """What a gateway leaves: one row per item, the run that let the model in as version."""
    table = pa.table(
        {
            "time": [when.timestamp()] * len(rows),
            "request": [request for request, _, _ in rows],
            "version": [version for _, version, _ in rows],
            "status": pa.array([status for *_, status in rows], pa.int16()),
            "latency_ms": [1.0] * len(rows),
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    digest = home.store.put(sink.getvalue()).digest
    home.store.claim(f"telemetry/gateway/{when:%Y-%m-%d}/{name}", digest.encode())


def test_the_baseline_is_read_from_signed_nights_signals_and_telemetry(home: Home) -> None:
    began = one_canary(home)
    runs = {one.asset: one.move.run for one in model_state(MODEL, home.registry).versions}
    seal_night_of(home, began - timedelta(days=2), verdict="refused")
    seal_night_of(home, began + timedelta(days=1))
    seal_night_of(home, began + timedelta(days=2))
    report_signal(signal(Severity.LOW, dated=began + timedelta(hours=1)), home.registry)
    report_signal(signal(Severity.LOW, dated=began + timedelta(hours=1)), home.registry)
    report_signal(signal(Severity.HIGH, dated=began - timedelta(hours=1)), home.registry)
    report_signal(signal(Severity.HIGH, asset=CHAMPION, dated=began), home.registry)
    mine, other = runs[ASSET], runs[CHAMPION]
    late = began + timedelta(hours=2)
    telemetry(home, late, [("a", mine, 200), ("a", mine, 200), ("b", mine, 503)], "one")
    telemetry(home, late, [("c", other, 200), ("d", "run-x", 500)], "two")
    telemetry(home, began - timedelta(hours=3), [("e", mine, 500)], "before")
    home.store.claim(f"telemetry/gateway/{late:%Y-%m-%d}/rubbish", b"no digest")
    found = baseline_of(model_state(MODEL, home.registry), home.registry)
    assert found is not None
    assert found.asset == ASSET
    assert len(found.quiet_days) == 2
    assert [one.severity for _, one in found.signals] == [Severity.LOW]
    assert (found.canary, found.champion) == (Traffic(2, 1), Traffic(1, 0))


def test_a_quiet_canary_becomes_champion_and_acting_again_changes_nothing(home: Home) -> None:
    began = one_canary(home)
    seal_night_of(home, began + timedelta(days=1))
    rules = Rules(days=1, longest_days=2, requests=0)
    [canary] = watched(home.registry, rules, began + timedelta(days=1.5))
    assert canary.document()["answer"] == "promote"
    state = act(canary, home.registry)
    assert state.held == {"champion": ASSET}
    assert state.links[-1].move.by == "proofhouse canary"
    assert [link.statement for link in act(canary, home.registry).links] == [
        link.statement for link in state.links
    ]
    assert watched(home.registry, rules, began + timedelta(days=2)) == ()


def test_a_loud_canary_is_out_of_service_and_the_champion_stays(home: Home) -> None:
    began = one_canary(home)
    seal_night_of(home, began + timedelta(hours=1), happened="reassessed", verdict="refused")
    [canary] = watched(home.registry, RULES, began + timedelta(hours=2), asset=ASSET)
    state = act(canary, home.registry)
    assert state.held == {"champion": CHAMPION}
    assert state.links[-1].move.evidence == canary.ruling.evidence != ()
    with pytest.raises(UnsignedModelError, match="the verdict was accepted, is refused"):
        accepted_model(ASSET, home.registry)


def test_who_is_no_canary_is_not_ruled(home: Home) -> None:
    one_canary(home)
    with pytest.raises(InvalidInputError, match="is no canary"):
        watched(home.registry, RULES, after(1), asset=CHAMPION)
    with pytest.raises(InvalidInputError, match="is no asset"):
        report_signal(signal(Severity.LOW, asset="reader"), home.registry)
