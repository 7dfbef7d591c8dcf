"""Try an OTLP endpoint as the bridge uses it."""

from bridge.sinks.spans.endpoint import Endpoint


async def probe_endpoint(endpoint: Endpoint) -> None:
    """Send an export without spans; raises StorageError when it is not accepted, SettingError as `open_spans`."""
    # OpenTelemetry takes long to import, and only bridges with an endpoint need it.
    from bridge.sinks.spans.otlp import OtlpExporter  # noqa: PLC0415

    exporter = OtlpExporter(endpoint)
    try:
        await exporter.export([])
    finally:
        await exporter.close()
