"""Attacks a sample block by block until the gate's question is settled.

The test looks after every block: a clear answer needs few points, and nobody has to know beforehand
how clear it will be. Blocks are independent of each other, so other workers may measure them; what
counts is a prefix of blocks that the points alone decide: any number of workers gives equal bytes.

Source: Waudby-Smith & Ramdas 2024, JRSS B 86 (betting).
"""

from contextlib import closing
from typing import NamedTuple

from tasks.checks.evasion import schedule
from tasks.checks.evasion.cascade import Budget, Cascade, answers, budget_of, fitting
from tasks.checks.lab import Examples, Lab, NotApplicable, NotAvailable
from tasks.domain.bundle import InputSpec
from tasks.sandbox.protocol import Reply
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
    rows = slice(index * BLOCK, (index + 1) * BLOCK)
    examples = Examples(bench.examples.inputs[rows], bench.examples.labels[rows])
    before = lab.cost
    cascade = Cascade(lab, examples, answers(lab, examples.inputs), bench.budget)
    if bench.access == "gradients":
        schedule.by_gradients_and_scores(cascade, bench.effort)
    else:
        schedule.by_scores(cascade, bench.effort)
    arrays, values = cascade.outcome()
    passes = lab.cost.passes - before.passes
    return Reply(arrays, {**values, "passes": passes, "queries": lab.cost.queries - before.queries})


def settle(lab: Lab, bench: Bench) -> Settlement:
    """Attacks blocks until the test at the gate's threshold has its answer or no point is left."""
    test = MeanTest(lab.number("settle_at"), ALPHA)
    outcomes: list[Reply] = []
    blocks = -(-len(bench.examples.labels) // BLOCK)
    with closing(lab.parts(lambda index: attack_block(lab, bench, index), blocks)) as parts:
        for outcome in parts:
            outcomes.append(outcome)
            for standing in outcome.arrays["standing"]:
                test.add(float(standing))
            if test.answer is not Settled.OPEN:
                break
    return Settlement(Cascade.of(lab, bench.examples, outcomes, bench.budget), test.answer)


def _contract(lab: Lab) -> tuple[InputSpec, int]:
    model = lab.subject.spec.model
    if model.input is None or model.output is None or model.output.classes is None:
        raise NotApplicable("the bundle describes no classifier with a fixed input")
    return model.input, model.output.classes
