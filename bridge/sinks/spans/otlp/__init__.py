"""OTLP exports over gRPC and HTTP, with OpenTelemetry's own encoder."""

from bridge.sinks.spans.otlp.exporter import OtlpExporter

__all__ = ["OtlpExporter"]
