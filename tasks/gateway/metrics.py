"""What the gateway counts for Prometheus. One registry per gateway, so that tests can have many."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Metrics:
    """Counters, gauges and one histogram. No account is a label: accounts are many and private."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = self._counter(
            "requests", "Requests by route, role and status.", "route", "role", "status"
        )
        self.items = self._counter("items", "Items answered.", "route")
        self.refused = self._counter("refused", "Requests refused, by reason.", "reason")
        self.latency = Histogram(
            "proofhouse_gateway_latency_seconds",
            "From headers to answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.waiting = self._gauge("waiting_items", "Items that wait for the model.")
        self.starts = self._gauge("model_starts", "Children started since the gateway began.")
        self.attempts = self._gauge("model_forbidden_calls", "Forbidden calls of the children.")
        self.rows = self._gauge("telemetry_rows", "Rows spooled since the gateway began.")
        self.failures = self._gauge("telemetry_failures", "Times the disk or store said no.")
        self.alarms = self._counter("alarms", "Accounts alarmed, by monitor.", "monitor")
        self.killed = self._gauge("killed", "1 while the kill switch is on.")

    def page(self) -> bytes:
        """Returns the page that Prometheus reads."""
        return generate_latest(self._registry)

    def _counter(self, name: str, help_: str, *labels: str) -> Counter:
        return Counter(f"proofhouse_gateway_{name}", help_, labels, registry=self._registry)

    def _gauge(self, name: str, help_: str) -> Gauge:
        return Gauge(f"proofhouse_gateway_{name}", help_, registry=self._registry)
