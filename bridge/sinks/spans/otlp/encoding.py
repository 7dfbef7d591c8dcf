"""Spans as bytes of OTLP, and what its responses say."""

import json
from dataclasses import dataclass
from importlib import metadata

from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Status as ProtoStatus
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from bridge import __version__
from bridge.sinks.spans.endpoint import Endpoint
from bridge.sinks.spans.span import Outcome, Span, SpanLink

RESPONSE_BYTES = 64 << 10
"""A response is a few numbers and a sentence; a longer one comes from something else."""

SAMPLED = TraceFlags(TraceFlags.SAMPLED)
SCOPE = InstrumentationScope("trainbridge", __version__)
CODES = {
    Outcome.UNSET: StatusCode.UNSET,
    Outcome.OK: StatusCode.OK,
    Outcome.ERROR: StatusCode.ERROR,
}


@dataclass(frozen=True, slots=True)
class Accepted:
    """What an endpoint says about an export that it has accepted, whole or in part."""

    rejected: int = 0
    """Spans that it has not taken, and never will."""
    message: str = ""


def encoded(spans: list[Span], resource: Resource) -> bytes:
    """Return an export request."""
    request = encode_spans([readable_span(span, resource) for span in spans])
    return bytes(request.SerializeToString())


def accepted(response: bytes) -> Accepted:
    """Return what a response says; raises ValueError when it is something other than OTLP."""
    try:
        partial = ExportTraceServiceResponse.FromString(response).partial_success
    except DecodeError as error:
        raise ValueError("not an OTLP response") from error
    return Accepted(max(0, partial.rejected_spans), partial.error_message)


def accepted_json(response: bytes) -> Accepted:
    """Return what a response in OTLP's JSON says; raises ValueError when it is none."""
    content = json.loads(response)
    partial = content.get("partialSuccess") or {} if isinstance(content, dict) else None
    if not isinstance(partial, dict):
        raise ValueError("not an OTLP response")
    # 64-bit integers are strings in protobuf's JSON.
    rejected = int(partial.get("rejectedSpans") or 0)
    return Accepted(max(0, rejected), str(partial.get("errorMessage") or ""))


def refusal(body: bytes) -> str:
    """Return the message of the google.rpc.Status that a refusal carries, or "" where it is none.

    OpenTelemetry's own Status has its message at the same number, and its other fields do no harm.
    """
    try:
        return str(ProtoStatus.FromString(body).message)
    except DecodeError:
        return ""


def resource_of(endpoint: Endpoint) -> Resource:
    """Return the resource of the spans: what the operator adds replaces ours, but for the service's name.

    `Resource.create` is not used: it would read OTEL_RESOURCE_ATTRIBUTES again, also where a setting replaces it.
    """
    return Resource(
        {
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": metadata.version("opentelemetry-sdk"),
            "service.instance.id": endpoint.instance_id,
            "service.version": __version__,
            **endpoint.resource_attributes,
            "service.name": endpoint.service_name,
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


def _link(link: SpanLink) -> Link:
    return Link(_context(link.trace_id, link.span_id, is_remote=True), dict(link.attributes))


def _context(trace_id: str, span_id: str, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id or "0", 16), is_remote, SAMPLED)


def _nanoseconds(seconds: float) -> int:
    return max(0, int(seconds * 1_000_000)) * 1_000  # unsigned in the protocol
