"""How many rows of a table keep their class under changes that a person could really make.

Sources: Simonetto et al. 2024, arXiv 2406.00775 (CAPGD, and CAA = CAPGD then evolution). The
commonest error of such attacks is to win with rows that cannot exist, so feasibility is measured
again here and told.
"""

import numpy as np

from tasks.attacks.tabular.rules import Allowed, Rules, inferred
from tasks.attacks.tabular.tabular_control import EPSILON, control_rows, control_table
from tasks.checks.evasion.doubts import about_answers
from tasks.checks.evasion.referee import (
    Flags,
    Population,
    about_escapes,
    judged,
    population,
)
from tasks.checks.evasion.witnesses import kept_witnesses
from tasks.checks.lab import Lab, NotApplicable, NotAvailable
from tasks.domain.measurement import Control, Measurement, Status
from tasks.domain.table import Table
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import binomial

CHECK, VERSION = "evasion.tabular", 1


def measure(lab: Lab) -> Measurement:
    """Runs CAPGD where there are gradients, then evolution on the rows that still stand."""
    spec = lab.subject.spec.model.input
    if spec is not None and len(spec.shape) != 1:
        raise NotApplicable(f"items of shape {spec.shape} are no rows of a table")
    people = population(lab, points=lab.count("points"), access="labels")
    table = people.spec.table or inferred(people.inputs.astype(np.float64))
    trial = _Trial(lab, people, table)
    if people.access == "gradients":
        trial.attack("capgd", steps=lab.count("steps"))
    trial.attack("evolution", generations=lab.count("generations"))
    fallen: Flags = trial.open & people.correct & ~trial.standing
    n = int(trial.open.sum())
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=_detail(lab, trial, n),
        estimates={
            "robust_accuracy": binomial(int(trial.standing.sum()), n),
            "clean_accuracy": binomial(int((people.correct & trial.open).sum()), n),
        },
        controls=_controls(lab),
        alarms=tuple(about_answers(people.described) + about_escapes(trial.escaped)),
        limits=_limits(people, table, trial),
        method=(
            "CAPGD (with gradients), then evolutionary search; every proposed row is repaired to "
            "the declared rules, and possible, reachable and misread again outside the child."
        ),
        facts={
            "points": n,
            "correct": int((people.correct & trial.open).sum()),
            "standing": int(trial.standing.sum()),
            "rules_declared": people.spec.table is not None,
            "mutable_columns": int(trial.rules.mutable.sum()),
            "columns": len(table.columns),
            "relations": len(table.relations),
            "impossible_unmoved": int((~trial.open).sum()),
            "claimed": trial.claimed,
            "feasible_claims": trial.feasible,
            "feasibility_rate": trial.feasible / trial.claimed if trial.claimed else None,
            **{f"fell_to_{name}": count for name, count in trial.fell.items()},
        },
        artifacts=kept_witnesses(lab, people, fallen, trial.witnesses),
        cost=lab.cost,
    )


class _Trial:
    """Which rows still stand, and what was claimed about the others."""

    def __init__(self, lab: Lab, people: Population, table: Table) -> None:
        self.lab, self.people, self.table = lab, people, table
        self.rules = Rules(table)
        self.allowed = Allowed(lab.number("epsilon"), lab.count("category_changes"))
        self.open = self.rules.possible(people.inputs.astype(np.float64))
        if not self.open.any():
            raise NotAvailable("no row of the evaluation data obeys the table's own rules")
        self.standing: Flags = people.correct & self.open
        self.witnesses = people.inputs.copy()
        self.claimed = self.feasible = self.escaped = 0
        self.fell: dict[str, int] = {}

    def attack(self, name: str, **settings: int) -> None:
        """Runs one attack on the rows that stand and judges what it claims."""
        rows = np.flatnonzero(self.standing)
        if not len(rows):
            return
        reply = self.lab.run(
            f"attacks.tabular.{name}",
            {"inputs": self.people.inputs[rows], "labels": self.people.labels[rows]},
            table=self.table.model_dump(mode="json"),
            epsilon=self.allowed.epsilon,
            categories=self.allowed.categories,
            seed=self.lab.seed,
            **settings,
        )
        claimed = reply.arrays["candidates"]
        obeys = self._obeys(claimed, self.people.inputs[rows])
        said = reply.arrays["found"].astype(bool)
        if said.shape == obeys.shape:
            self.claimed += int(said.sum())
            self.feasible += int((said & obeys).sum())
        result = judged(self.lab, self.people, rows, claimed, obeys=obeys)
        self.escaped += result.escaped
        fallen = rows[result.held]
        self.standing[fallen] = False
        self.witnesses[fallen] = result.moved[result.held]
        self.fell[name] = len(fallen)

    def _obeys(self, moved: Array, clean: Array) -> Flags:
        if moved.shape != clean.shape:
            return np.zeros(len(clean), dtype=bool)
        with np.errstate(invalid="ignore"):
            after, before = moved.astype(np.float64), clean.astype(np.float64)
            possible = self.rules.possible(after)
            return possible & self.rules.reachable(after, before, self.allowed)


def _detail(lab: Lab, trial: _Trial, n: int) -> str:
    correct = int((trial.people.correct & trial.open).sum())
    return (
        f"{correct} of {n} rows are read correctly, {int(trial.standing.sum())} also under every "
        f"possible change that was found: numbers by {lab.number('epsilon'):.4g} of their range, "
        f"{lab.count('category_changes')} categories, {int((~trial.rules.mutable).sum())} columns "
        "fixed."
    )


def _limits(people: Population, table: Table, trial: _Trial) -> tuple[str, ...]:
    notes = [str(note) for note in people.described.get("notes", ())]
    if people.spec.table is None:
        notes.append(
            "The bundle declares no model.input.table: ranges and whole numbers were read off the "
            "data, nothing else is fixed. Real attackers may be able to do less, or more."
        )
    fixed = [column.name for column in table.columns if column.immutable]
    if fixed and people.spec.table is not None:
        notes.append(f"The vendor says that nobody can change {', '.join(fixed[:12])}.")
    if not trial.open.all():
        notes.append(
            f"{int((~trial.open).sum())} rows break the declared rules unmoved and were left out."
        )
    return tuple(notes)


def _controls(lab: Lab) -> tuple[Control, ...]:
    """A table with planted relations: one reader can be misled within them, one cannot."""
    reply = lab.run("attacks.tabular.tabular_control", seed=lab.seed)
    rules, rows = Rules(control_table()), control_rows(lab.seed).astype(np.float64)
    broken = {}
    for name, column in (("weak", 2), ("strong", 3)):
        moved = reply.arrays[name].astype(np.float64)
        fair = rules.possible(moved) & rules.reachable(moved, rows, Allowed(EPSILON, 1))
        read = (moved[:, column] > 0.475).astype(int)
        broken[name] = fair & (read != reply.arrays[f"{name}_labels"])
    return (
        Control(
            name="reader of a total that can be changed",
            planted=True,
            found=bool(broken["weak"].all()),
            estimate=binomial(int(broken["weak"].sum()), len(rows)),
            detail=f"{int(broken['weak'].sum())} of {len(rows)} rows fell within the rules",
        ),
        Control(
            name="reader of a fixed column",
            planted=False,
            found=bool(broken["strong"].any()),
            estimate=binomial(int(broken["strong"].sum()), len(rows)),
            detail=f"{int(broken['strong'].sum())} of {len(rows)} rows that cannot fall fell",
        ),
    )
