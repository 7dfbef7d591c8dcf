"""Try an OTLP endpoint as the bridge uses it."""

from bridge.errors import StorageError
from bridge.sinks.spans.endpoint import Endpoint


def probe_endpoint(endpoint: Endpoint) -> None:
    """Send an export without spans; raises StorageError when it is not accepted."""
    # OpenTelemetry takes long to import, and only bridges with an endpoint need it.
    from bridge.sinks.spans.otlp import OtlpExporter  # noqa: PLC0415

    exporter = OtlpExporter(endpoint)
    try:
        is_accepted = exporter.export([])
    finally:
        exporter.close()
    if not is_accepted:
        raise StorageError(
            f"{endpoint.url} did not accept an export by {endpoint.protocol}: check otlp_endpoint and"
            " otlp_protocol"
        )
