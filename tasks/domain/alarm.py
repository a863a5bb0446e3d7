"""An alarm of a monitor: what it says, and what makes two of them the same one."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from tasks.domain.digest import DigestField, digest_of
from tasks.domain.frozen import Frozen, canonical_json
from tasks.domain.incident import Fact, FactName, Incident, Line

Mode = Literal["off", "dry_run", "live"]
"""What an alarm may do, from nothing to everything; of two, the earlier here is more careful."""
MODES: tuple[Mode, ...] = ("off", "dry_run", "live")


class Trigger(StrEnum):
    """What a monitor can raise. Playbooks name these, alone or with a kind behind a dot."""

    GATEWAY_ALARM = "gateway.alarm"
    """An account asks as an attacker would. Kind: the monitor that says so."""
    GATEWAY_QUOTA_ALERT = "gateway.quota_alert"
    """An account reached the part of its quota at which somebody should look."""
    ASSESSMENT_VERDICT_WORSE = "assessment.verdict_worse"
    """A live model reassures less than before. Kinds: families of the checks that do."""
    DATASET_VERDICT_WORSE = "dataset.verdict_worse"
    """Likewise a live dataset."""
    REGISTRY_SIGNATURE_INVALID = "registry.signature_invalid"
    """A registered version's evidence, promotion or signature verifies no more."""
    EVIDENCE_ALTERED = "evidence.altered"
    """Sealed evidence does not verify."""
    DRIFT_ALARM = "drift.alarm"
    """What a model meets is not what it was judged on. Kinds: checks of drift that say so."""
    COST_ALARM = "cost.alarm"
    SIEM_ALERT = "siem.alert"
    REPORT_EXTERNAL = "report.external"
    ADVISORY_PUBLISHED = "advisory.published"
    """The last four come from outside, by webhook."""


Kind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]


class Alarm(Frozen):
    """One alarm (schema ``proofhouse.alarm/1``).

    ``same_as`` is what makes a later alarm the same one, and never a moment of observation: when
    left out, title, asset, vendor and accounts. The first that is kept under a name counts, with
    its ``detected``; so the same alarm a hundred times is one incident.
    """

    schema_: Literal["proofhouse.alarm/1"] = Field(default="proofhouse.alarm/1", alias="schema")
    trigger: Trigger
    kinds: tuple[Kind, ...] = ()
    same_as: tuple[Annotated[str, StringConstraints(max_length=600)], ...] = ()
    title: Line
    detected: AwareDatetime
    source: Line
    """Which monitor, or who."""
    summary: Annotated[str, StringConstraints(max_length=4000)] = ""
    asset: Annotated[str, StringConstraints(max_length=600)] = ""
    vendor: Annotated[str, StringConstraints(max_length=200)] = ""
    run: Annotated[str, StringConstraints(max_length=60)] = ""
    accounts: tuple[Line, ...] = Field(default=(), max_length=1000)
    facts: dict[FactName, Fact] = {}
    evidence: tuple[DigestField, ...] = Field(default=(), max_length=1000)

    @property
    def name(self) -> str:
        """``alarm-`` and twenty digits: the same alarm has the same name, whenever it is seen."""
        told = self.same_as or (self.title, self.asset, self.vendor, *self.accounts)
        same = canonical_json([self.trigger.value, *told])
        return "alarm-" + digest_of(same).removeprefix("sha256:")[:20]

    @property
    def event(self) -> str:
        """Name of the orchestrator's event."""
        return f"proofhouse.{self.trigger}"

    def is_heard_by(self, wanted: str) -> bool:
        """Answers whether a playbook that names ``wanted`` is for this alarm."""
        return wanted in {self.trigger.value, *(f"{self.trigger}.{kind}" for kind in self.kinds)}

    def incident(self) -> Incident:
        """Returns the incident that the alarm reports; a monitor's alarm makes nobody aware yet."""
        known: dict[str, Fact] = {"accounts_known": True} if self.accounts else {}
        return Incident(
            schema_="proofhouse.incident/1",
            title=self.title,
            detected=self.detected,
            reported_by=self.source,
            summary=self.summary,
            asset=self.asset,
            vendor=self.vendor or vendor_of(self.asset),
            run=self.run,
            accounts=self.accounts,
            facts=known | self.facts,
            evidence=self.evidence,
        )


def is_trigger(name: str) -> bool:
    """Answers whether some monitor can raise ``name``, a trigger with or without a kind."""
    return any(name == known or name.startswith(f"{known}.") for known in Trigger)


def vendor_of(asset: str) -> str:
    """Returns the vendor that an asset's id (``vendor/name@version``) begins with."""
    return asset.partition("/")[0][:200] if "/" in asset else ""
