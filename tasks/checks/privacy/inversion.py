"""Can the missing half of a member's record be reconstructed with the model's help?"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.inference.imputing import neighbours
from tasks.checks.lab import Lab, NotAvailable
from tasks.checks.privacy.audit_set import Audit, drawn_audit, escrow_told, overlap_seen
from tasks.domain.measurement import Control, Measurement, Status
from tasks.sandbox.protocol import Array
from tasks.statistics.gains import gain_over
from tasks.statistics.intervals import Floats

CHECK, VERSION = "privacy.inversion", 1
NEIGHBOURS = 8
LEAST_STRANGERS = 40
SAME = 1e-6
"""Errors closer than this share of the range's square are equal."""


class Puzzle(NamedTuple):
    """Records with a hidden half, and what is known without the model."""

    truth: Floats
    """(n, values), the whole records, flat."""
    hidden: NDArray[np.bool_]
    candidates: Floats
    """(n, kinds, values): the visible half, completed like each of the nearest strangers."""
    labels: Array
    members: NDArray[np.bool_]
    scale: float

    @property
    def imputed(self) -> Floats:
        """The reference: what the nearest strangers have on average."""
        mean: Floats = self.candidates.mean(axis=1)
        return mean


def measure(lab: Lab) -> Measurement:
    """Completes records with and without the model, of members and of strangers."""
    audit = drawn_audit(lab)
    puzzle = _puzzle(lab, audit)
    description = lab.target()
    gains = {"label only": _by_labels(lab, puzzle, audit.inputs.shape[1:])}
    if description.get("access") == "gradients":
        gains["gradient"] = _by_gradient(lab, puzzle, audit.inputs.shape[1:])
    name = max(gains, key=lambda one: _difference(gains[one], puzzle.members))
    worst = gains[name]
    inside, outside = worst[puzzle.members], worst[~puzzle.members]
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=f"Half of each record was hidden. The {name} attack came nearer to the truth than "
        f"its reference, which never asked the model, for {inside.mean():+.1%} of the members "
        f"and {outside.mean():+.1%} of the strangers (nearer minus farther).",
        estimates={"advantage": gain_over(inside, outside), "overlap": audit.overlap},
        observations=overlap_seen(audit),
        controls=_controls(puzzle, lab.seed),
        limits=(
            "The attacker knows half of the record and the label; generative priors are not tried.",
            "What helps with strangers as well is statistics; it is taken off here.",
            *escrow_told(lab),
        ),
        method="hidden half completed by gradient ascent from an imputation, and by labels alone "
        "among neighbours; sign of the change in squared error, members minus strangers",
        facts={
            f"{one}: {whom}": round(float(found[rows].mean()), 4)
            for one, found in gains.items()
            for whom, rows in (("members", puzzle.members), ("strangers", ~puzzle.members))
        },
        cost=lab.cost,
    )


def _puzzle(lab: Lab, audit: Audit) -> Puzzle:
    """Hides half of every record; a third of the strangers is known to the attacker."""
    rng = np.random.default_rng(lab.seed)
    others = rng.permutation(np.flatnonzero(~audit.members))
    if len(others) < LEAST_STRANGERS:
        raise NotAvailable(
            f"{len(others)} strangers are too few to impute from, {LEAST_STRANGERS} are needed"
        )
    known = others[: len(others) // 3]
    asked = np.concatenate([np.flatnonzero(audit.members), others[len(others) // 3 :]])
    flat = audit.inputs.reshape(len(audit.inputs), -1).astype(np.float64)
    hidden = np.broadcast_to(_hidden(audit.inputs.shape[1:], rng), flat[asked].shape)
    nearest = neighbours(flat[known], flat[asked], ~hidden, min(NEIGHBOURS, len(known)))
    candidates = np.where(hidden[:, None], flat[known][nearest], flat[asked][:, None])
    low, high = float(flat.min()), float(flat.max())
    return Puzzle(
        flat[asked],
        hidden,
        candidates,
        audit.labels[asked],
        audit.members[asked],
        max(high - low, 1e-9),
    )


def _hidden(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Hides the lower half of pictures, and half of the columns of tables."""
    mask = np.zeros(shape, dtype=np.bool_)
    if len(shape) == 3:
        mask[:, shape[1] // 2 :] = True
        return mask.reshape(-1)
    flat = mask.reshape(-1)
    flat[rng.permutation(flat.size)[: max(1, flat.size // 2)]] = True
    return flat


def _by_gradient(lab: Lab, puzzle: Puzzle, shape: tuple[int, ...]) -> Floats:
    low, high = (float(end) for end in lab.target()["bounds"])
    start = np.clip(puzzle.imputed, low, high).astype(np.float32)
    reply = lab.run(
        "attacks.inference.record_completion",
        {
            "inputs": start.reshape(-1, *shape),
            "hidden": np.ascontiguousarray(puzzle.hidden).reshape(-1, *shape),
            "labels": puzzle.labels,
        },
        steps=lab.count("steps"),
    )
    completed = reply.arrays["completed"].reshape(puzzle.truth.shape).astype(np.float64)
    return _nearer(puzzle, np.where(puzzle.hidden, completed, puzzle.truth), puzzle.imputed)


def _by_labels(lab: Lab, puzzle: Puzzle, shape: tuple[int, ...]) -> Floats:
    kinds = puzzle.candidates.shape[1]
    reply = lab.run(
        "attacks.inference.label_completion",
        {
            "candidates": puzzle.candidates.astype(np.float32).reshape(-1, kinds, *shape),
            "labels": puzzle.labels,
        },
        rounds=lab.count("rounds"),
        seed=lab.seed,
    )
    return _chosen(puzzle, reply.arrays["firmness"])


def _chosen(puzzle: Puzzle, firmness: Floats) -> Floats:
    """Compares the firmest candidate with the nearest one, which needs no model."""
    # Candidates are sorted by nearness, so a tie goes to what anybody would choose.
    rows = np.arange(len(puzzle.truth))
    return _nearer(
        puzzle, puzzle.candidates[rows, firmness.argmax(axis=1)], puzzle.candidates[:, 0]
    )


def _nearer(puzzle: Puzzle, completed: Floats, reference: Floats) -> Floats:
    """Returns 1 where a completion is nearer to the truth than its reference, -1 where farther."""
    own, other = (
        np.where(puzzle.hidden, (guess - puzzle.truth) ** 2, 0).sum(axis=1)
        / puzzle.hidden.sum(axis=1)
        for guess in (completed, reference)
    )
    change = other - own
    gained: Floats = np.sign(change) * (np.abs(change) > SAME * puzzle.scale**2)
    return gained


def _difference(gains: Floats, members: NDArray[np.bool_]) -> float:
    return float(gains[members].mean() - gains[~members].mean())


def _controls(puzzle: Puzzle, seed: int) -> tuple[Control, ...]:
    """Completes members half way to the truth, and everybody by lot."""
    rng = np.random.default_rng(seed + 1)
    betrayed = puzzle.imputed.copy()
    betrayed[puzzle.members] += 0.5 * (puzzle.truth - puzzle.imputed)[puzzle.members]
    lots = rng.random(puzzle.candidates.shape[:2])
    return (
        _control(
            "members completed half way",
            _nearer(puzzle, betrayed, puzzle.imputed),
            puzzle,
            planted=True,
        ),
        _control("completions by lot", _chosen(puzzle, lots), puzzle, planted=False),
    )


def _control(name: str, gains: Floats, puzzle: Puzzle, *, planted: bool) -> Control:
    found = gain_over(gains[puzzle.members], gains[~puzzle.members], 0.999)
    return Control(
        name=name,
        planted=planted,
        found=found.low > 0,
        estimate=found,
        detail=f"members gain {found.value:+.1%} over strangers",
    )
