"""Exports spans with the exporters of OpenTelemetry."""

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from bridge import __version__
from bridge.errors import SettingError
from bridge.sinks.spans.endpoint import Endpoint
from bridge.sinks.spans.span import Outcome, Span, SpanLink

SAMPLED = TraceFlags(TraceFlags.SAMPLED)
SCOPE = InstrumentationScope("trainbridge", __version__)
CODES = {
    Outcome.UNSET: StatusCode.UNSET,
    Outcome.OK: StatusCode.OK,
    Outcome.ERROR: StatusCode.ERROR,
}


class OtlpExporter:
    """Sends spans with the exporter that OpenTelemetry's own SDK uses.

    The OTEL_EXPORTER_OTLP_* variables for certificates, compression and timeout apply to it.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        """Send to `endpoint`; nothing is connected yet.

        Raises SettingError when its URL has no scheme or a variable is invalid.
        """
        if not endpoint.url.startswith(("http://", "https://")):
            raise SettingError(
                f"otlp_endpoint is {endpoint.url!r}: give http:// or https:// with host and port;"
                " without a scheme it would not be clear whether TLS is meant"
            )
        try:
            self._exporter = _exporter(endpoint)
        except (
            Exception
        ) as error:  # its errors have no common class, and all are about the environment
            raise SettingError(f"an OTEL_* variable is invalid: {error}") from error
        self._resource = resource_of(endpoint)

    def export(self, spans: list[Span]) -> bool:
        """Return whether the endpoint has accepted the spans."""
        readable = [readable_span(span, self._resource) for span in spans]
        return self._exporter.export(readable) is SpanExportResult.SUCCESS

    def close(self) -> None:
        """Close connections; an export that runs ends soon."""
        self._exporter.shutdown()


def resource_of(endpoint: Endpoint) -> Resource:
    """Return the resource of the spans: OTEL_RESOURCE_ATTRIBUTES apply, but for the names of ours."""
    return Resource.create(
        {
            "service.name": endpoint.service_name,
            "service.instance.id": endpoint.instance_id,
            "service.version": __version__,
        }
    )


def readable_span(span: Span, resource: Resource) -> ReadableSpan:
    """Return a span as the exporters accept it.

    The SDK creates these only for spans that it has started itself, with random ids; a trace that must
    continue after a restart cannot use that. A test pins what the SDK accepts here.
    """
    parent = _context(span.trace_id, span.parent_id, is_remote=span.is_parent_remote)
    return ReadableSpan(
        span.name,
        context=_context(span.trace_id, span.span_id),
        parent=parent if span.parent_id else None,
        resource=resource,
        attributes=dict(span.attributes),
        events=[
            Event(event.name, dict(event.attributes), _nanoseconds(event.at))
            for event in span.events
        ],
        links=[_link(link) for link in span.links],
        kind=SpanKind.INTERNAL,
        status=Status(CODES[span.outcome], span.message or None),
        start_time=_nanoseconds(span.start),
        end_time=_nanoseconds(span.end),
        instrumentation_scope=SCOPE,
    )


def _exporter(endpoint: Endpoint) -> SpanExporter:
    # Each takes long to import, and only one is needed.
    headers = dict(endpoint.headers)
    if endpoint.protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc  # noqa: PLC0415

        is_plain = endpoint.url.startswith("http://")
        return grpc.OTLPSpanExporter(endpoint.url, insecure=is_plain, headers=headers)
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as http  # noqa: PLC0415

    return http.OTLPSpanExporter(endpoint.url, headers=headers)


def _link(link: SpanLink) -> Link:
    return Link(_context(link.trace_id, link.span_id, is_remote=True), dict(link.attributes))


def _context(trace_id: str, span_id: str, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id or "0", 16), is_remote, SAMPLED)


def _nanoseconds(seconds: float) -> int:
    return max(0, int(seconds * 1_000_000)) * 1_000  # unsigned in the protocol
