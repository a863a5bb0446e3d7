"""OpenTelemetry spans, when somebody asked for them; never about inputs or accounts."""

from importlib import import_module

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import NoOpTracer, Tracer

from tasks.domain.errors import SettingsError


def tracer_of(kind: str) -> Tracer:
    """Returns a tracer.

    Args:
        kind: Empty for none, ``console``, or ``otlp`` (address and headers come from the
            ``OTEL_EXPORTER_OTLP_*`` variables).

    Raises:
        SettingsError: The kind is unknown or its exporter is not installed.
    """
    if not kind:
        return NoOpTracer()
    provider = TracerProvider(resource=Resource.create({"service.name": "proofhouse-gateway"}))
    provider.add_span_processor(BatchSpanProcessor(_exporter(kind)))
    return provider.get_tracer("proofhouse.gateway")


def _exporter(kind: str) -> SpanExporter:
    if kind == "console":
        return ConsoleSpanExporter()
    if kind != "otlp":
        raise SettingsError(f"PROOFHOUSE_GATEWAY__TRACES is {kind!r}: use console, otlp or nothing")
    try:
        found = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError as error:
        raise SettingsError(
            "PROOFHOUSE_GATEWAY__TRACES=otlp needs opentelemetry-exporter-otlp-proto-http"
        ) from error
    exporter: SpanExporter = found.OTLPSpanExporter()
    return exporter
