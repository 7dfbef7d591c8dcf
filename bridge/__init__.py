"""Training telemetry over gRPC, to Prometheus, OpenTelemetry and object storage."""

__version__ = "0.1.0"
