"""What a row of a table may look like, declared as data: kinds, ranges, what belongs together."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from tasks.domain.frozen import Frozen

ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Column(Frozen):
    """One input value, in raw units.

    A number lies in ``low..high``, on multiples of ``step`` above ``low`` where one is given. A
    category is one of ``choices``. Columns of one ``group`` are the ones and zeros of a category:
    exactly one of them is 1.
    """

    name: ColumnName
    kind: Literal["number", "category", "one_hot"] = "number"
    low: Finite = 0.0
    high: Finite = 1.0
    step: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    choices: tuple[Finite, ...] = ()
    group: ColumnName | None = None
    immutable: bool = False
    """Whoever sends the row cannot change this (age, history); an attack must not either."""

    @model_validator(mode="after")
    def _kind_has_what_it_needs(self) -> Self:
        if self.kind == "number" and not self.low < self.high:
            raise ValueError(f"column {self.name}: {self.low}..{self.high} is empty")
        if (self.kind == "category") != (len(self.choices) > 1):
            raise ValueError(f"column {self.name}: a category has two choices or more, others none")
        if (self.kind == "one_hot") != (self.group is not None):
            raise ValueError(f"column {self.name}: one_hot columns name their group, others none")
        return self


class Relation(Frozen):
    """What must hold between columns: a weighted sum, or a product, compared with something.

    ``sum(terms) compare bound`` or, with ``product``, ``sum(terms) compare factor * a * b``. With
    ``solve_for``, an equality tells how that column follows from the others; an attack that moves
    these moves it along.
    """

    terms: Annotated[dict[ColumnName, Finite], Field(min_length=1)]
    compare: Literal["<=", "==", ">="] = "<="
    bound: Finite = 0.0
    product: tuple[ColumnName, ColumnName] | None = None
    factor: Finite = 1.0
    solve_for: ColumnName | None = None

    @model_validator(mode="after")
    def _can_be_solved(self) -> Self:
        if self.solve_for is None:
            return self
        if self.compare != "==" or not self.terms.get(self.solve_for):
            raise ValueError(
                f"only an equality in which {self.solve_for} has a weight is solved for it"
            )
        if self.product and self.solve_for in self.product:
            raise ValueError(f"{self.solve_for} cannot be solved for inside a product")
        return self


class Table(Frozen):
    """The columns of a model's input in order, and what holds between them."""

    columns: Annotated[tuple[Column, ...], Field(min_length=1, max_length=10_000)]
    relations: tuple[Relation, ...] = ()

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names):
            doubled = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"columns named twice: {', '.join(doubled[:5])}")
        used = {name for relation in self.relations for name in relation.terms}
        used |= {name for relation in self.relations for name in relation.product or ()}
        if unknown := sorted(used - set(names)):
            raise ValueError(f"relations name unknown columns: {', '.join(unknown[:5])}")
        return self
