"""Sends one trace with OpenTelemetry's own SDK over gRPC, to the address that is given."""

import sys

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult

exporter = OTLPSpanExporter(endpoint=f"http://{sys.argv[1]}", insecure=True)
results = []


class Watched(SimpleSpanProcessor):
    def on_end(self, span):
        results.append(exporter.export([span]))


provider = TracerProvider(resource=Resource.create({"service.name": "python"}))
provider.add_span_processor(Watched(exporter))
tracer = provider.get_tracer("sender")
with tracer.start_as_current_span("outer", attributes={"order.id": "sent-by-python"}):
    with tracer.start_as_current_span("inner", attributes={"ratio": 0.5, "list": [1, 2]}):
        pass
assert results == [SpanExportResult.SUCCESS] * 2, results
