"""Do the embeddings that a model hands out show the records that they were made of?"""

from typing import Any, NamedTuple

import numpy as np

from tasks.attacks.inference.decoding import decoded
from tasks.checks.lab import Lab, NotApplicable, NotAvailable
from tasks.domain.errors import ChildRaisedError
from tasks.domain.measurement import Control, Measurement, Status
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import Floats, binomial

CHECK, VERSION = "privacy.embedding_inversion", 1
NEARER = 0.5
"""A record counts as recovered when this share of the reference's squared error is left at most."""
CONTROL_CONFIDENCE = 0.999


class Puzzle(NamedTuple):
    """Records of strangers that the attacker has, and records that he sees the embeddings of."""

    inputs: Array
    """The attacker's own records first (m + n, …)."""
    labels: Array
    own: int
    embedding: Floats
    """(m + n, width)"""

    @property
    def flat(self) -> Floats:
        """All records as rows of numbers."""
        return self.inputs.reshape(len(self.inputs), -1).astype(np.float64)

    @property
    def expected(self) -> Floats:
        """The reference for every record: the mean of the attacker's own with the same label."""
        own, flat = self.labels[: self.own], self.flat[: self.own]
        means = {label: flat[own == label].mean(axis=0) for label in np.unique(own)}
        everybody = flat.mean(axis=0)
        return np.stack([means.get(label, everybody) for label in self.labels])


def measure(lab: Lab) -> Measurement:
    """Rebuilds records from their embeddings, against a guess that never saw an embedding."""
    layer = _layer(lab)
    examples = lab.sample("evaluation", lab.count("items"))
    count = len(examples.labels)
    if count < lab.count("minimum_items"):
        raise NotAvailable(
            f"{count} evaluation rows are too few, {lab.count('minimum_items')} are needed"
        )
    described = lab.target()
    seen = _embeddings(lab, examples.inputs, layer)
    puzzle = Puzzle(examples.inputs, examples.labels, count // 2, seen)
    chosen = _rehearsed(lab, puzzle, layer, described)
    guesses = _guesses(lab, puzzle, layer, described)
    best = guesses[chosen]
    recovered, identified = _recovered(puzzle, best), _identified(puzzle, best)
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=f"From what layer {layer} answers ({seen.shape[1]} numbers), "
        f"{recovered.mean():.1%} of {len(recovered)} records were rebuilt with at most half of the "
        "error of the best guess that never saw an embedding; "
        f"{identified.mean():.1%} of the rebuilt records point at the right one among those with "
        "the same label.",
        estimates={
            "recovered": binomial(int(recovered.sum()), len(recovered)),
            "identified": binomial(int(identified.sum()), len(identified)),
        },
        controls=_controls(puzzle, lab.seed),
        limits=(
            "The attacker has half of the evaluation rows, may ask the model and knows the labels.",
            "Nearer to the truth than the mean of a class is not the same as recognisable.",
        ),
        method="kernel ridge decoder, and gradient descent on the embedding from there; the attack "
        "that did better in a rehearsal on the attacker's own records",
        facts={"attack": chosen, "layer": layer, "width": seen.shape[1], "own records": puzzle.own}
        | {
            f"recovered by {name}": round(float(_recovered(puzzle, guess).mean()), 4)
            for name, guess in guesses.items()
        },
        cost=lab.cost,
    )


def _layer(lab: Lab) -> str:
    output = lab.subject.spec.model.output
    if output is None or output.embedding is None:
        raise NotApplicable(
            "the bundle names no layer whose output is handed out (model.output.embedding)"
        )
    return output.embedding


def _embeddings(lab: Lab, inputs: Array, layer: str) -> Floats:
    try:
        reply = lab.run("attacks.inference.embeddings", {"inputs": inputs}, layer=layer)
    except ChildRaisedError as error:
        raise NotAvailable(f"no embedding could be read: {error.message}") from error
    return reply.arrays["embedding"].astype(np.float64)


def _guesses(lab: Lab, puzzle: Puzzle, layer: str, described: dict[str, Any]) -> dict[str, Floats]:
    """Returns what each attack takes the asked records for (n, values)."""
    low, high = (float(end) for end in described["bounds"])
    start = np.clip(_decoded(puzzle, puzzle.embedding), low, high)
    guesses = {"decoder": start}
    if described.get("access") == "gradients":
        reply = lab.run(
            "attacks.inference.embeddings.embedding_inversion",
            {
                "starts": start.astype(np.float32).reshape(-1, *puzzle.inputs.shape[1:]),
                "wanted": puzzle.embedding[puzzle.own :].astype(np.float32),
            },
            layer=layer,
            steps=lab.count("steps"),
        )
        guesses["gradient"] = reply.arrays["records"].reshape(start.shape).astype(np.float64)
    return guesses


def _decoded(puzzle: Puzzle, embedding: Floats) -> Floats:
    """Decodes what a record has beyond the mean of its label."""
    beyond = puzzle.flat[: puzzle.own] - puzzle.expected[: puzzle.own]
    found = decoded(embedding[: puzzle.own], beyond, embedding[puzzle.own :])
    return puzzle.expected[puzzle.own :] + found


def _rehearsed(lab: Lab, puzzle: Puzzle, layer: str, described: dict[str, Any]) -> str:
    """Returns the attack that does best on a third of the attacker's own records."""
    own = puzzle.own
    rehearsal = Puzzle(
        puzzle.inputs[:own], puzzle.labels[:own], 2 * own // 3, puzzle.embedding[:own]
    )
    truth = rehearsal.flat[rehearsal.own :]
    guesses = _guesses(lab, rehearsal, layer, described)
    return min(guesses, key=lambda name: float(((guesses[name] - truth) ** 2).mean()))


def _recovered(puzzle: Puzzle, guess: Floats) -> Array:
    truth, expected = puzzle.flat[puzzle.own :], puzzle.expected[puzzle.own :]
    own, other = (((one - truth) ** 2).sum(axis=1) for one in (guess, expected))
    hits: Array = (own <= NEARER * other) & (other > 0)
    return hits


def _identified(puzzle: Puzzle, guess: Floats) -> Array:
    """Answers whether each guess is nearer to its own record than to any of the same label."""
    truth, labels = puzzle.flat[puzzle.own :], puzzle.labels[puzzle.own :]
    squares = (guess**2).sum(axis=1)[:, None] + (truth**2).sum(axis=1) - 2 * guess @ truth.T
    squares[labels[:, None] != labels] = np.inf
    right: Array = squares.argmin(axis=1) == np.arange(len(truth))
    return right


def _controls(puzzle: Puzzle, seed: int) -> tuple[Control, ...]:
    """Decodes records handed out as they are, and embeddings that belong to somebody else."""
    lots = puzzle.embedding.copy()
    rng = np.random.default_rng(seed + 1)
    lots[puzzle.own :] = rng.permutation(lots[puzzle.own :])
    return (
        _control(puzzle, puzzle.flat, "records handed out as they are", planted=True),
        _control(puzzle, lots, "embeddings of somebody else", planted=False),
    )


def _control(puzzle: Puzzle, embedding: Floats, name: str, *, planted: bool) -> Control:
    hits = _recovered(puzzle, _decoded(puzzle, embedding))
    share = binomial(int(hits.sum()), len(hits), CONTROL_CONFIDENCE)
    return Control(
        name=name,
        planted=planted,
        found=share.low > 0.05,
        estimate=share,
        detail=f"{share.value:.1%} of {share.n} records were rebuilt",
    )
