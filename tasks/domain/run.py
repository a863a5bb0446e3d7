"""A run as it is sealed: everything a third party needs to follow the verdict."""

from pydantic import Field

from tasks.domain.digest import DigestField
from tasks.domain.execution import Execution
from tasks.domain.finding import Decision, Finding
from tasks.domain.frozen import Frozen
from tasks.domain.spec import RunPlan


class Reference(Frozen):
    """One object that the run stands on: its part in the run, digest, size and version."""

    role: str
    digest: DigestField
    size_bytes: int = Field(ge=0)
    version: str | None = None


class RunRecord(Frozen):
    """What is signed: plan, findings, decision, and the digest of every byte they rest on.

    ``objects`` lists subject, plan, measurements, artifacts and report. ``started`` and ``sealed``
    are UTC times in RFC 3339 by one clock that never goes back. ``clocks`` says which clocks
    disagreed with it: the machine's own under ``run``, workers' under the check they measured.
    """

    run: str
    asset: str
    tier: str
    subject: DigestField
    plan: RunPlan
    findings: tuple[Finding, ...]
    decision: Decision
    executions: tuple[Execution, ...]
    objects: tuple[Reference, ...]
    sandbox: dict[str, str] = {}
    store: dict[str, str] = {}
    clocks: dict[str, str] = Field(default={}, exclude_if=lambda told: not told)
    started: str
    sealed: str
