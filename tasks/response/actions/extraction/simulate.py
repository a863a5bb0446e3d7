"""Rebuilds the copy offline: how well would a model agree that learnt from the captured questions?

A student is trained in the sandbox on captured rows alone and compared with what the model itself
answered to questions of other accounts, which the student never saw. Nothing is asked of the model.
Where telemetry keeps projections or hashes only, the thief knew more than the student, so the
number is a lower bound, and is said to be one.
"""

import io
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from tasks.checks.extraction.agreement import rate
from tasks.domain.case import Said
from tasks.domain.digest import Digest
from tasks.domain.estimate import Estimate
from tasks.domain.frozen import canonical_json
from tasks.gateway.trails import Row
from tasks.gateway.window import telemetry_rows
from tasks.response.acting import Acted, ActionError, Order, World
from tasks.sandbox.protocol import Array, Limits

ASSUMED: dict[str, Said] = {"fidelity": 0.0, "lower_bound": True, "settled": False}
PROCEDURE = "attacks.extraction.rebuilding.rebuilt"
CONFIRMED = "incident.extraction_confirmed"
WORTH = 0.85
"""Agreement from which a copy is worth protecting against, when the playbook says none."""
FEWEST_HELD, MOST_ROWS = 30, 20_000
CALL_SECONDS = 600.0
SEED = 0


class _Rows(NamedTuple):
    """Answered items: features (n, d), or keyed hashes where no features are kept."""

    features: Array | None
    hashes: tuple[str, ...]
    labels: Array
    confidence: Array

    def part(self, where: Any) -> "_Rows":
        hashes = tuple(np.array(self.hashes, object)[where].tolist())
        features = None if self.features is None else self.features[where]
        return _Rows(features, hashes, self.labels[where], self.confidence[where])


def preview(order: Order, world: World) -> str:  # noqa: ARG001 - the face of an action
    """Says what would be trained."""
    return f"train a copy on {order.text('captured')} and compare it with the model's own answers"


def act(order: Order, world: World) -> Acted:
    """Trains the copy; says ``fidelity`` with ``low`` and ``high``, ``lower_bound``, ``settled``.

    ``parameters["captured"]`` is the digest that ``evidence.capture`` said, ``features`` what it
    said of them; ``worth_protecting`` (0..1) is the agreement from which a copy does harm. The
    incident's fact ``extraction_confirmed`` is settled where the interval settles it: true from
    there on, false below it, unless the number is a lower bound; else a person has to say it.

    Raises:
        ActionError: The capture cannot be read, or there are too few other answers to judge by.
    """
    told = _simulated(order, world)
    kept = world.store.put(canonical_json(told)).digest
    confirmed = {} if told["confirmed"] is None else {CONFIRMED: bool(told["confirmed"])}
    return Acted(
        _sentence(told),
        said={
            "fidelity": told["fidelity"]["value"],
            "low": told["fidelity"]["low"],
            "high": told["fidelity"]["high"],
            "lower_bound": told["lower_bound"],
            "settled": told["confirmed"] is not None,
            **confirmed,
        },
        evidence=(kept,),
    )


def _simulated(order: Order, world: World) -> dict[str, Any]:
    rows = pq.read_table(io.BytesIO(world.store.get(Digest(order.text("captured"))))).to_pylist()
    accounts = {str(row["account"]) for row in rows}
    captured = _answered(rows, order)
    others = _answered(
        telemetry_rows(world.store, world.home, lambda row: row["account"] not in accounts), order
    )
    if not len(captured.labels):
        raise ActionError("none of the captured questions was answered: there is nothing to copy")
    natural, held = _split(others)
    if len(held.labels) < FEWEST_HELD:
        raise ActionError(
            f"{len(held.labels)} answers to other accounts are too few to compare with; "
            f"{FEWEST_HELD} are needed. Rebuild the copy by hand, or resume when there are more."
        )
    copy, by_natural = _copies(world, captured, natural, held)
    found, worth = rate(copy == held.labels), order.number("worth_protecting", WORTH)
    bound = str(order.parameters.get("features", "unknown")) != "raw"
    return {
        "schema": "proofhouse.simulated-copy/1",
        "captured": order.text("captured"),
        "queries": len(captured.labels),
        "held": len(held.labels),
        "fidelity": found.model_dump(mode="json"),
        "natural": None
        if by_natural is None
        else rate(by_natural == held.labels).model_dump(mode="json"),
        "natural_queries": len(natural.labels),
        "worth_protecting": worth,
        "lower_bound": bound,
        "confirmed": _settled(found, worth, lower_bound=bound),
    }


def _settled(found: Estimate, worth: float, *, lower_bound: bool) -> bool | None:
    if found.low >= worth:
        return True
    return False if found.high < worth and not lower_bound else None


def _copies(
    world: World, captured: _Rows, natural: _Rows, held: _Rows
) -> tuple[Array, Array | None]:
    if captured.features is None or held.features is None:
        return _recalled(captured, held), None
    assert natural.features is not None, "it is a part of the same rows"
    classes = 1 + max(int(part.labels.max(initial=0)) for part in (captured, natural, held))
    with world.sandbox().session((), Limits(call_seconds=CALL_SECONDS)) as session:
        reply = session.call(
            PROCEDURE,
            {
                "features": captured.features, "labels": captured.labels,
                "confidence": captured.confidence, "natural": natural.features,
                "natural_labels": natural.labels, "held": held.features,
            },
            classes=max(2, classes), seed=SEED,
        )  # fmt: skip
    copy = reply.arrays["copy"]
    if copy.shape != held.labels.shape:
        raise ActionError("the sandbox gave back no copy's answers")
    return copy, reply.arrays.get("natural")


def _recalled(captured: _Rows, held: _Rows) -> Array:
    """Answers what hashes alone allow: the same input has the same class, else the commonest."""
    known = dict(zip(captured.hashes, captured.labels.tolist(), strict=True))
    commonest = int(np.bincount(captured.labels).argmax())
    return np.array([known.get(each, commonest) for each in held.hashes], np.int64)


def _split(others: _Rows) -> tuple[_Rows, _Rows]:
    """Returns rows to learn from and rows to judge by: no input is in both."""
    first = {text: place for place, text in reversed(list(enumerate(others.hashes)))}
    order = np.random.default_rng(SEED).permutation(np.array(sorted(first.values()), np.int64))
    half = len(order) // 2
    return others.part(order[:half]), others.part(order[half:])


def _answered(rows: list[Row], order: Order) -> _Rows:
    """Returns answered items about the incident's model, the latest where there are too many."""
    asset = order.incident.asset
    answered = [
        row for row in rows
        if row["status"] == 200 and row["input_hash"] and asset in {"", row["model"]}
    ][-MOST_ROWS:]  # fmt: skip
    kept = all(row["features"] is not None for row in answered) and answered
    return _Rows(
        np.array([row["features"] for row in answered], np.float32) if kept else None,
        tuple(str(row["input_hash"]) for row in answered),
        np.array([row["label"] for row in answered], np.int64),
        np.array([row["confidence"] for row in answered], np.float32),
    )


def _sentence(told: dict[str, Any]) -> str:
    found, bound = told["fidelity"], "at least " if told["lower_bound"] else ""
    natural = told["natural"]
    beside = (
        f"; from {told['natural_queries']} ordinary questions {natural['value']:.0%}"
        if natural else ""
    )  # fmt: skip
    settled = {True: "a copy worth protecting against", False: "no such copy", None: "not settled"}
    return (
        f"a copy from {told['queries']} captured questions agrees with the model on {bound}"
        f"{found['value']:.0%} [{found['low']:.0%}, {found['high']:.0%}] of {told['held']} other "
        f"inputs{beside}; {settled[told['confirmed']]} (from {told['worth_protecting']:.0%} on)"
    )
