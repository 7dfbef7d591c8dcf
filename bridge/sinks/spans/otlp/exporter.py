"""Exports spans to an OTLP endpoint."""

import gzip
from typing import Protocol

from bridge.errors import SettingError
from bridge.sinks.spans.endpoint import Endpoint
from bridge.sinks.spans.otlp.encoding import Accepted, encoded, resource_of
from bridge.sinks.spans.otlp.grpc_transport import GrpcTransport
from bridge.sinks.spans.otlp.http_transport import HttpTransport
from bridge.sinks.spans.span import Span
from bridge.threads import run_in_daemon_thread


class Transport(Protocol):
    """Sends export requests within the timeout of its endpoint."""

    async def send(self, request: bytes) -> Accepted:
        """Return what the endpoint says of a request that it accepts; raises ExportError for any other."""

    async def close(self) -> None:
        """Close the connection."""


class OtlpExporter:
    """Sends spans by one transport, with OpenTelemetry's encoder.

    The exporters of OpenTelemetry's SDK are not used: they hide why an export failed and which spans were
    rejected, cannot be interrupted, and take a timeout in seconds for one in milliseconds (decision 0013).
    """

    def __init__(self, endpoint: Endpoint) -> None:
        """Send to `endpoint`; nothing is connected yet. Raises SettingError when its URL has no scheme."""
        if not endpoint.url.startswith(("http://", "https://")):
            raise SettingError(
                f"otlp_endpoint is {endpoint.url!r}: give http:// or https:// with host and port;"
                " without a scheme it would not be clear whether TLS is meant"
            )
        self._resource = resource_of(endpoint)
        self._is_compressed = endpoint.compression == "gzip" and endpoint.protocol != "grpc"
        is_grpc = endpoint.protocol == "grpc"
        self._transport: Transport = GrpcTransport(endpoint) if is_grpc else HttpTransport(endpoint)

    async def export(self, spans: list[Span]) -> Accepted:
        """Return what the endpoint says when it has accepted spans; raises ExportError otherwise."""
        request = await run_in_daemon_thread(lambda: self._encoded(spans), name="encode spans")
        return await self._transport.send(request)

    async def close(self) -> None:
        """Close connections."""
        await self._transport.close()

    def _encoded(self, spans: list[Span]) -> bytes:
        request = encoded(spans, self._resource)
        return gzip.compress(request) if self._is_compressed else request
