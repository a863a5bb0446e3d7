"""What a trusted version of a table looked like, as data: columns, relations, and tolerances.

People may edit a profile (drop a range, widen a tolerance): other bytes are another digest.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from tasks.domain.digest import Digest, DigestField, digest_of
from tasks.domain.frozen import Frozen

ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Rows = Annotated[int, Field(ge=0)]
Kind = Literal["whole", "number", "text"]
CLOSED = 20
"""With so many rows of the rarest name, a further one is hardly chance."""


class Tolerances(Frozen):
    """How far a new version may differ before it is a finding.

    Where the reference has no exception, as many are allowed as chance alone explains in a table of
    the new size: ``alpha`` is the chance that any of all these allowances is exceeded by a table
    drawn from the same source.
    """

    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    missing: float = Field(default=0.01, ge=0, le=1)
    """Added to the share of missing values that the reference lets expect."""
    far: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    """Beyond the reference's range by so many times its width, no single value is allowed."""


class ColumnProfile(Frozen):
    """One column. ``None`` and ``False`` ask nothing."""

    name: ColumnName
    kind: Kind
    missing: Rows = 0
    low: Finite | None = None
    high: Finite | None = None
    names: tuple[str, ...] | None = None
    """Every value, sorted, where they are few."""
    once: Rows = 0
    """How many of the names occurred once: what tells whether there are more of them."""
    rarest: Rows = 0
    """Rows of the rarest name."""
    unique: bool = False

    @property
    def closed(self) -> bool:
        """Whether the names are all there are, as far as the reference can tell."""
        return self.names is not None and self.rarest >= CLOSED

    @model_validator(mode="after")
    def _range_is_one(self) -> Self:
        if (self.low is None) != (self.high is None) or (self.low or 0) > (self.high or 0):
            raise ValueError(f"column {self.name}: {self.low}..{self.high} is no range")
        if self.names is not None and list(self.names) != sorted(set(self.names)):
            raise ValueError(f"column {self.name}: names must be sorted and each there once")
        return self


class Order(Frozen):
    """``lower`` was never above ``upper`` in ``rows`` rows that had both."""

    lower: ColumnName
    upper: ColumnName
    rows: Rows


class Dependency(Frozen):
    """Each value of ``column`` had one value of ``determines``, in ``rows`` rows with both."""

    column: ColumnName
    determines: ColumnName
    fixes: dict[str, str]
    rows: Rows


class ReferenceProfile(Frozen):
    """A trusted version of a table; ``sources`` are the digests of its files."""

    schema_: Literal["proofhouse.profile/1"] = Field(alias="schema", default="proofhouse.profile/1")
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    version: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    rows: Annotated[int, Field(ge=1)]
    sources: tuple[DigestField, ...] = ()
    columns: Annotated[tuple[ColumnProfile, ...], Field(min_length=1, max_length=2000)]
    orders: tuple[Order, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    tolerances: Tolerances = Tolerances()
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> Digest:
        """What findings and evidence call this profile."""
        return digest_of(self.canonical())

    def column(self, name: str) -> ColumnProfile | None:
        """Returns a column, or None."""
        return next((column for column in self.columns if column.name == name), None)

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names):
            raise ValueError("a column is there twice")
        used = {name for one in self.orders for name in (one.lower, one.upper)}
        used |= {name for one in self.dependencies for name in (one.column, one.determines)}
        if unknown := sorted(used - set(names)):
            raise ValueError(f"relations name unknown columns: {', '.join(unknown[:5])}")
        return self
