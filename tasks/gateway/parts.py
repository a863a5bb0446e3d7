"""What a gateway is made of: the service, the admin interface and the tests share this list."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from opentelemetry.trace import NoOpTracer, Tracer

from tasks.gateway.actions import ControlFile, Controls
from tasks.gateway.keys import KeyRing
from tasks.gateway.limits import Limits, anchored_clock
from tasks.gateway.metrics import Metrics
from tasks.gateway.policy import GatewayPolicy
from tasks.gateway.routing import Routes
from tasks.gateway.telemetry import Recorder
from tasks.gateway.watching import Watching


@dataclass
class InForce:
    """The controls as last read from their file."""

    file: ControlFile
    current: Controls = field(default_factory=Controls)


@dataclass
class Parts:
    """One gateway. ``home`` is the Proofhouse home, ``name`` the model's name in addresses."""

    home: Path
    name: str
    policy: GatewayPolicy
    keys: KeyRing
    controls: InForce
    limits: Limits
    routes: Routes
    recorder: Recorder
    watching: Watching
    metrics: Metrics
    vouch: Callable[[str], object] | None = None
    """Says of a version whether it may still be served; see ``tasks/gateway/vouching.py``."""
    vouch_seconds: float = 60
    tracer: Tracer = field(default_factory=NoOpTracer)
    clock: Callable[[], float] = field(default_factory=anchored_clock)

    async def close(self) -> None:
        """Ends children and threads, writes limits and telemetry."""
        for route in self.routes.all():
            route.queue.close()
        self.recorder.close()
        await self.limits.close()
        for route in self.routes.all():
            for copy in route.copies:
                copy.close()
