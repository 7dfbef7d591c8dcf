"""OTLP over gRPC."""

from pathlib import Path

import grpc.aio

from bridge import __version__
from bridge.proxies import GRPC_VARIABLES, Proxy
from bridge.sinks.spans.endpoint import Endpoint
from bridge.sinks.spans.otlp.encoding import RESPONSE_BYTES, Accepted, accepted
from bridge.sinks.spans.otlp.errors import ExportError, sentence
from bridge.sinks.spans.otlp.grpc_failures import cause_of, is_refusal
from bridge.sinks.spans.otlp.proxy import proxy_of
from bridge.sinks.spans.otlp.tls import context_of

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

COMPRESSIONS = {"none": grpc.Compression.NoCompression, "gzip": grpc.Compression.Gzip}


class GrpcTransport:
    """One channel to a gRPC endpoint; it is replaced after a failure, so that each attempt really connects."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Connect with the first request."""
        self._endpoint = endpoint
        self._channel: grpc.aio.Channel | None = None

    async def send(self, request: bytes) -> Accepted:
        """Return what the endpoint says of an export that it accepts; raises ExportError for any other."""
        proxy = proxy_of(self._endpoint, GRPC_VARIABLES)
        try:
            channel = self._channel = self._channel or self._new_channel(proxy)
            export: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
            call = export(
                request,
                timeout=self._endpoint.timeout_seconds,
                metadata=tuple(self._endpoint.headers.items()),
            )
            return accepted(await call)
        except grpc.aio.AioRpcError as error:
            await self.close()
            raise _failure(error, self._endpoint, proxy) from error
        except ValueError as error:
            cause, way_out = "what it answers is not OTLP", "check host and port of otlp_endpoint"
            raise ExportError(sentence(self._endpoint, proxy, cause, way_out)) from error

    async def close(self) -> None:
        """Close the channel; the next request opens another."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    def _new_channel(self, proxy: Proxy | None) -> grpc.aio.Channel:
        endpoint = self._endpoint
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        target = f"dns:///{host}:{endpoint.port}"
        compression = COMPRESSIONS[endpoint.compression]
        if not endpoint.is_tls:
            return grpc.aio.insecure_channel(target, _options(proxy), compression)
        return grpc.aio.secure_channel(
            target, _credentials(endpoint), options=_options(proxy), compression=compression
        )


def _options(proxy: Proxy | None) -> list[tuple[str, int | str]]:
    """Return the channel options: the proxy that we chose or none, and no state shared with other channels."""
    return [
        ("grpc.http_proxy", proxy.url) if proxy else ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_receive_message_length", RESPONSE_BYTES),
        ("grpc.primary_user_agent", f"trainbridge/{__version__}"),
    ]


def _credentials(endpoint: Endpoint) -> grpc.ChannelCredentials:
    context_of(endpoint)  # gRPC would only fail each handshake
    return grpc.ssl_channel_credentials(
        root_certificates=_content(endpoint.ca_file),
        private_key=_content(endpoint.client_key_file),
        certificate_chain=_content(endpoint.client_cert_file),
    )


def _content(path: str) -> bytes | None:
    return Path(path).read_bytes() if path else None


def _failure(error: grpc.aio.AioRpcError, endpoint: Endpoint, proxy: Proxy | None) -> ExportError:
    code, details = error.code(), error.details() or ""
    cause, way_out = cause_of(code, details, endpoint, is_proxied=proxy is not None)
    return ExportError(
        sentence(endpoint, proxy, cause, way_out), is_refusal=is_refusal(code, details)
    )
