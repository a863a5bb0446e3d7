"""Where responses tell people and machines: addresses only, never a secret."""

from typing import Annotated

from pydantic import Field, StringConstraints

from tasks.domain.frozen import Frozen

Address = Annotated[str, StringConstraints(max_length=500)]


class Channels(Frozen):
    """How to reach the outside. What is empty is not set up: a step that needs it fails.

    ``webhook`` is an http(s) URL; ``smtp`` is ``host:port``; ``siem`` is ``file:<path>``,
    ``udp://host:port`` or ``tcp://host:port`` (syslog, RFC 5424) or an http(s) URL.
    """

    webhook: Address = ""
    smtp: Address = ""
    mail_from: Address = ""
    mail_to: tuple[Address, ...] = ()
    siem: Address = ""
    tickets: Address = ""
    """Folder for tickets; the home's ``tickets`` when empty."""
    timeout_seconds: float = Field(default=10, gt=0, le=300)
