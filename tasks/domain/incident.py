"""An incident as somebody or some monitor reports it (schema ``proofhouse.incident/1``)."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from tasks.domain.digest import DigestField, digest_of
from tasks.domain.frozen import Frozen

Fact = str | int | float | bool
FactName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=300, strip_whitespace=True)]


class Incident(Frozen):
    """What is known at the start. What is learnt later is said in the case, never written here."""

    schema_: Literal["proofhouse.incident/1"] = Field(alias="schema")
    title: Line
    detected: AwareDatetime
    """When a monitor or a person first saw it; deadlines of steps count from here."""
    aware: AwareDatetime | None = None
    """When the enterprise knew that it was an incident; legal clocks count from here."""
    reported_by: Line = "unknown"
    summary: Annotated[str, StringConstraints(max_length=4000)] = ""
    asset: Annotated[str, StringConstraints(max_length=600)] = ""
    vendor: Annotated[str, StringConstraints(max_length=200)] = ""
    run: Annotated[str, StringConstraints(max_length=60)] = ""
    accounts: tuple[Line, ...] = Field(default=(), max_length=1000)
    facts: dict[FactName, Fact] = {}
    # Left out of the bytes when empty: incidents of before keep their names, and so their cases.
    evidence: tuple[DigestField, ...] = Field(default=(), exclude_if=lambda value: not value)
    """Objects in the store that speak for it."""

    @property
    def name(self) -> str:
        """Short id: the same report is the same incident."""
        return "incident-" + digest_of(self.canonical()).removeprefix("sha256:")[:16]

    def value(self, field: str) -> Fact | tuple[str, ...] | None:
        """Returns a field or a fact by name; None when nobody said."""
        told: dict[str, Fact | tuple[str, ...]] = {
            "title": self.title,
            "asset": self.asset,
            "vendor": self.vendor,
            "run": self.run,
            "accounts": self.accounts,
            "reported_by": self.reported_by,
        }
        found = told.get(field, self.facts.get(field))
        return None if found in ("", ()) else found
