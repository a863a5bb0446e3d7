"""Attacks a sample block by block until the gate's question is settled.

The test looks after every block: a clear answer needs few points, and nobody has to know beforehand
how clear it will be. Blocks are independent of each other, so other workers may measure them; what
counts is a prefix of blocks that the points alone decide: any number of workers gives equal bytes.

Source: Waudby-Smith & Ramdas 2024, JRSS B 86 (betting).
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import NamedTuple

from tasks.checks.evasion import schedule
from tasks.checks.evasion.cascade import Budget, Cascade, answers, budget_of, fitting
from tasks.checks.lab import Examples, Lab, NotApplicable, NotAvailable
from tasks.domain.bundle import InputSpec
from tasks.domain.measurement import Cost
from tasks.sandbox.protocol import Array, Reply
from tasks.statistics.betting import MeanTest, Settled

BLOCK = 50
"""Points that are attacked side by side before the test looks."""
CONFIDENCE = 0.95
ALPHA = (1 - CONFIDENCE) / 2
"""Chance of a wrong answer, for each side of the threshold."""


class Bench(NamedTuple):
    """What all blocks of one measurement share."""

    examples: Examples
    budget: Budget
    effort: schedule.Effort
    access: str


class Settlement(NamedTuple):
    """The points that were attacked, and what the test said when it stopped."""

    cascade: Cascade
    answer: Settled
    outcomes: Sequence[Reply] = ()
    """What each block answered, in order."""


def bench_of(lab: Lab, norm: str) -> Bench:
    """Opens the target and draws the sample, in the order in which it is attacked.

    Raises:
        NotApplicable: The bundle describes no classifier with a fixed input.
        NotAvailable: Data or scores are missing, or do not belong to this model.
    """
    spec, classes = _contract(lab)
    examples = fitting(lab.sample("evaluation", lab.count("points")), spec, classes)
    described = lab.target()
    access = str(described["access"])
    if access == "labels":
        raise NotAvailable("the model reveals labels only; these attacks need scores at least")
    effort = schedule.Effort(
        steps=lab.count("steps"),
        restarts=lab.count("restarts"),
        square_queries=lab.count("square_queries"),
        deterministic=bool(described.get("deterministic", True)),
    )
    return Bench(examples, budget_of(spec, lab.number("epsilon"), norm), effort, access)


def attack_block(lab: Lab, bench: Bench, index: int) -> Reply:
    """Attacks one block with everything; returns what became of its points, and the cost."""
    before = lab.cost
    cascade = block(lab, bench, index)
    attack_all(cascade, bench)
    return told(cascade, before)


def block(lab: Lab, bench: Bench, index: int) -> Cascade:
    """Returns the cascade over one block, asked about its inputs and not attacked yet."""
    rows = slice(index * BLOCK, (index + 1) * BLOCK)
    examples = Examples(bench.examples.inputs[rows], bench.examples.labels[rows])
    return Cascade(lab, examples, answers(lab, examples.inputs), bench.budget)


def attack_all(cascade: Cascade, bench: Bench) -> None:
    """Runs every attack that the target's access allows on what still stands."""
    if bench.access == "gradients":
        schedule.by_gradients_and_scores(cascade, bench.effort)
    else:
        schedule.by_scores(cascade, bench.effort)


def told(cascade: Cascade, before: Cost, **further: Array) -> Reply:
    """Returns what became of a block, and what was spent since ``before``."""
    arrays, values = cascade.outcome()
    spent = cascade.lab.cost
    passes, queries = spent.passes - before.passes, spent.queries - before.queries
    return Reply({**arrays, **further}, {**values, "passes": passes, "queries": queries})


Attack = Callable[[Lab, Bench, int], Reply]


def settle(
    lab: Lab,
    bench: Bench,
    *,
    attack: Attack = attack_block,
    at: float | None = None,
    least: int = 0,
) -> Settlement:
    """Attacks blocks until the test has its answer or no point is left.

    Args:
        lab: Bench with an opened target.
        bench: What all blocks share.
        attack: Attacks one block.
        at: The threshold in question; the parameter ``settle_at`` when left out.
        least: Points to attack however early the answer is there.
    """
    test = MeanTest(lab.number("settle_at") if at is None else at, ALPHA)
    outcomes: list[Reply] = []
    seen, blocks = 0, -(-len(bench.examples.labels) // BLOCK)
    with closing(lab.parts(lambda index: attack(lab, bench, index), blocks)) as parts:
        for outcome in parts:
            outcomes.append(outcome)
            for standing in outcome.arrays["standing"]:
                test.add(float(standing))
            seen += len(outcome.arrays["standing"])
            if test.answer is not Settled.OPEN and seen >= least:
                break
    whole = Cascade.of(lab, bench.examples, outcomes, bench.budget)
    return Settlement(whole, test.answer, outcomes)


def _contract(lab: Lab) -> tuple[InputSpec, int]:
    model = lab.subject.spec.model
    if model.input is None or model.output is None or model.output.classes is None:
        raise NotApplicable("the bundle describes no classifier with a fixed input")
    return model.input, model.output.classes
