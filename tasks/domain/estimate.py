"""A number with its interval: the only form in which a rate leaves a check."""

from typing import Self

from pydantic import Field, model_validator

from tasks.domain.frozen import Frozen


class Estimate(Frozen):
    """A measured value, the interval that holds the true one, and how it was earned.

    ``low <= value <= high`` always. ``n`` counts independent units (images, queries, rows).
    """

    value: float
    low: float
    high: float
    confidence: float = Field(default=0.95, gt=0, lt=1)
    n: int = Field(ge=0)

    @model_validator(mode="after")
    def _interval_holds_value(self) -> Self:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"{self.value} is outside its interval {self.low}..{self.high}")
        return self

    @classmethod
    def exact(cls, value: float, *, n: int) -> Self:
        """Builds the estimate of a quantity that was counted completely, not sampled."""
        return cls(value=value, low=value, high=value, confidence=0.999999, n=n)
