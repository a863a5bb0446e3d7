"""Spans say how the model was asked, and nothing about who asked what."""

from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracer

from tasks.domain.errors import SettingsError
from tasks.gateway.tracing import tracer_of
from tests.simulators.gateway import running_gateway


def test_a_span_tells_route_and_items(tmp_path: Path) -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with running_gateway(tmp_path) as gateway:
        gateway.parts.tracer = provider.get_tracer("test")
        gateway.ask(gateway.key())
    (span,) = kept.get_finished_spans()
    assert span.name == "model"
    assert dict(span.attributes or {}) == {"proofhouse.route": "champion", "proofhouse.items": 1}


def test_no_traces_unless_somebody_asks() -> None:
    assert isinstance(tracer_of(""), NoOpTracer)
    with pytest.raises(SettingsError, match="console, otlp"):
        tracer_of("jaeger")
