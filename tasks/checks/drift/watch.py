"""Has anything changed for good since the reference was taken, night after night?"""

from typing import Any

import numpy as np
from pydantic import ValidationError

from tasks.checks.drift.pair import WATCH, keep_json
from tasks.checks.lab import Lab, NotAvailable
from tasks.detectors.drift.watch import Evidence, Gate, Night, Watch, alpha_of, band_of, evidence
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Control, Measurement, Observation, Status
from tasks.domain.severity import Severity
from tasks.statistics.intervals import binomial
from tasks.statistics.two_sample import Counts

CHECK, VERSION = "drift.watch", 1
SERIES = 10
"""Simulated series of nights for each control."""
NIGHTS = 30
POWER = 0.8
TOLD = 12
METHOD = (
    "For each column and the risk, betting against rates that stay within the reference's band and "
    "a tolerance, a new bet each night; Bonferroni over gates, alpha shared among references."
)
_LIMITS = (
    "Rows of one night are taken as independent of each other, given what went before.",
    "A change that stays within the tolerance is no alarm, however sure it is.",
    "After a year on one reference new bets are small: take a new reference within the year.",
)


def measure(lab: Lab) -> Measurement:
    """Weighs the evidence of all nights so far.

    Raises:
        NotAvailable: No nights were counted for this subject.
    """
    watch = _watch(lab)
    weighed = evidence(watch)
    alarmed = [one for one in weighed if one.alarmed is not None]
    controls = _controls(watch, lab.seed)
    rows = sum(night.rows for night in watch.nights)
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=_detail(watch, alarmed),
        estimates={"gates_in_alarm": Estimate.exact(len(alarmed) / len(weighed), n=max(1, rows))},
        observations=tuple(_alarm(watch, one) for one in alarmed),
        controls=controls,
        limits=_LIMITS,
        method=METHOD,
        facts={
            "series": watch.series,
            "reference_number": watch.number,
            "nights": len(watch.nights),
            "gates": len(watch.gates),
            "alpha_of_series": watch.alpha,
            "alpha_of_this_reference": round(watch.spends, 9),
        },
        artifacts=(
            keep_json(lab, "evidence.json", "Evidence of a change, night by night", _told(weighed)),
            lab.keep(
                "watch.json",
                title="Counts of every night: the state of the series",
                media_type="application/json",
                data=watch.canonical(),
            ),
        ),
    )


def _watch(lab: Lab) -> Watch:
    if lab.subject.file(WATCH) is None:
        raise NotAvailable("no series of nights is kept for this subject")
    try:
        watch = Watch.parse(lab.path(WATCH).read_bytes())
    except ValidationError as error:
        raise NotAvailable(f"the series of nights cannot be read: {error.errors()[0]}") from error
    if not watch.gates or not watch.nights:
        raise NotAvailable("the series has no column to watch, or no night yet")
    return watch


def _detail(watch: Watch, alarmed: list[Evidence]) -> str:
    nights = f"{len(watch.nights)} night{'s' if len(watch.nights) > 1 else ''}"
    if not alarmed:
        return f"No alarm in {nights} over {len(watch.gates)} gates."
    first = min(one.alarmed or 0 for one in alarmed)
    named = ", ".join(one.gate for one in alarmed[:5])
    return f"{len(alarmed)} of {len(watch.gates)} gates in alarm since night {first}: {named}."


def _alarm(watch: Watch, one: Evidence) -> Observation:
    night = one.alarmed or 0
    factor = min(float(one.logs.max()), 700.0) / np.log(10)
    return Observation(
        rule="drift.alarm",
        severity=Severity.HIGH,
        detail=f"since night {night} of {len(watch.nights)}; evidence 10^{factor:.1f}, an alarm "
        f"from 10^{one.limit / np.log(10):.1f}",
        location=one.gate,
    )


def _told(weighed: tuple[Evidence, ...]) -> list[dict[str, Any]]:
    top = sorted(weighed, key=lambda one: -float((one.logs - one.limit).max()))
    return [
        {
            "gate": one.gate,
            "log10": [round(float(log) / np.log(10), 4) for log in one.logs],
            "limit_log10": round(one.limit / float(np.log(10)), 4),
            "alarm": one.alarmed,
        }
        for one in top[:TOLD]
    ]


def _controls(watch: Watch, seed: int) -> tuple[Control, ...]:
    """Plays series of as many rows a night from the reference itself, without and with a change."""
    rng = np.random.default_rng(seed)
    quiet = [_first_alarm(watch, rng, planted=False) for _ in range(SERIES)]
    changed = [_first_alarm(watch, rng, planted=True) for _ in range(SERIES)]
    found = sorted(night for night in changed if night)
    false = sum(night is not None for night in quiet)
    enough = int(np.ceil(POWER * SERIES))
    delay = f"{found[enough - 1]} nights" if len(found) >= enough else f"not within {NIGHTS} nights"
    return (
        Control(
            name="planted change",
            planted=True,
            found=len(found) >= enough,
            estimate=binomial(len(found), SERIES),
            detail=f"one gate moved by twice its tolerance beyond the reference's band; found in "
            f"{len(found)} of {SERIES} series, at {POWER:.0%} power after {delay}",
        ),
        Control(
            name="nights of the reference",
            planted=False,
            found=false > 0,
            estimate=binomial(false, SERIES),
            detail=f"{false} of {SERIES} series of {NIGHTS} unchanged nights alarmed",
        ),
    )


def _first_alarm(watch: Watch, rng: np.random.Generator, *, planted: bool) -> int | None:
    """Plays one series on the gate whose reference says most; Bonferroni still counts all gates."""
    at = int(np.argmax([max(gate.trials, default=0) for gate in watch.gates]))
    gate = watch.gates[at]
    part = _middle(gate)
    known = np.array([max(night.trials[at][part] for night in watch.nights)])
    band = band_of(gate, alpha_of(watch, gate))
    rate = gate.successes[part] / max(1, gate.trials[part])
    if planted:
        up, down = float(band.high[part]), float(band.low[part])
        further = 2 * gate.tolerance if rate <= 0.5 else -2 * gate.tolerance
        rate = min(1.0, up + further) if rate <= 0.5 else max(0.0, down + further)
    wins: Counts = rng.binomial(known[0], rate, size=NIGHTS)
    nights = tuple(
        Night(
            current=f"sha256:{night:064x}",
            rows=int(known[0]),
            successes=tuple((int(win),) if i == at else () for i in range(len(watch.gates))),
            trials=tuple((int(known[0]),) if i == at else () for i in range(len(watch.gates))),
        )
        for night, win in enumerate(wins)
    )
    one = gate.model_copy(
        update={
            "parts": (gate.parts[part],),
            "successes": (gate.successes[part],),
            "trials": (gate.trials[part],),
        }
    )
    bare = [
        one if i == at else other.model_copy(update={"parts": (), "successes": (), "trials": ()})
        for i, other in enumerate(watch.gates)
    ]
    played = evidence(watch.model_copy(update={"gates": tuple(bare), "nights": nights}))[at]
    # In the real gate the part that moves shares the stake with the others.
    shared = float(np.log(len(gate.parts))) if planted else 0.0
    return played._replace(limit=played.limit + shared).alarmed


def _middle(gate: Gate) -> int:
    """Returns the part whose rate in the reference is nearest to a half."""
    rates = np.array(gate.successes) / np.maximum(1, gate.trials)
    return int(np.argmin(np.abs(rates - 0.5)))
