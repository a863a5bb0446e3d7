"""What a monitor, a playbook or a person reports about a model in service."""

from typing import Annotated

from pydantic import AwareDatetime, StringConstraints

from tasks.domain.approval import Words
from tasks.domain.digest import DigestField
from tasks.domain.frozen import Frozen
from tasks.domain.severity import Severity


class Signal(Frozen):
    """One report: from high severity on, a canary that it is about is rolled back.

    ``kind`` is a short name (``drift``, ``abuse``, ``errors``), ``evidence`` what it rests on.
    """

    asset: Words
    kind: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{0,59}$")]
    severity: Severity
    reason: Words
    source: Words
    evidence: tuple[DigestField, ...] = ()
    dated: AwareDatetime
