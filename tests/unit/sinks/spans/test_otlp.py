"""What OpenTelemetry's SDK takes: pinned here, since its docstring promises nothing."""

from dataclasses import replace

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan

from bridge import __version__
from bridge.errors import SettingError
from bridge.sinks.spans.endpoint import Endpoint
from bridge.sinks.spans.otlp import OtlpExporter
from bridge.sinks.spans.otlp.encoding import readable_span, resource_of
from bridge.sinks.spans.span import Outcome, Span, SpanEvent, SpanLink

TRACE, ROOT, REMOTE = "0123456789abcdef" * 2, "00000000000000ff", "f" * 16
PARENT_IS_REMOTE = 0x300
"""OTLP's bits for: it is known whether the parent is remote, and it is."""

RESOURCE = resource_of(Endpoint("http://h", service_name="team-a", instance_id="bridge-0"))

SPAN = Span(
    "training.epoch",
    TRACE,
    ROOT,
    1_700_000_000.25,
    1_700_000_001.5,
    parent_id=REMOTE,
    is_parent_remote=True,
    attributes={"text": "a", "whole": 2**40, "part": 0.5, "yes": True},
    events=(SpanEvent("status", 1_700_000_001.0, {"training.status": "paused"}),),
    links=(SpanLink("a" * 32, "b" * 16, {"training.link": "client"}),),
    outcome=Outcome.ERROR,
    message="out of memory",
)


def encoded(span):
    """Return a span as the exporters put it on the wire."""
    [group] = encode_spans([readable_span(span, RESOURCE)]).resource_spans
    [scope] = group.scope_spans
    [wire] = scope.spans
    return group.resource, scope.scope, wire


def test_the_encoder_takes_every_part_of_a_span():
    """Ids, times, attributes with their types, events, links and status are on the wire as given."""
    _, scope, wire = encoded(SPAN)

    assert (wire.name, wire.trace_id.hex(), wire.span_id.hex()) == (SPAN.name, TRACE, ROOT)
    assert wire.parent_span_id.hex() == REMOTE
    assert (wire.start_time_unix_nano, wire.end_time_unix_nano) == (
        1_700_000_000_250_000_000,
        1_700_000_001_500_000_000,
    )
    assert {pair.key: pair.value.WhichOneof("value") for pair in wire.attributes} == {
        "text": "string_value",
        "whole": "int_value",
        "part": "double_value",
        "yes": "bool_value",
    }
    assert [(event.name, event.time_unix_nano) for event in wire.events] == [
        ("status", 1_700_000_001_000_000_000)
    ]
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in wire.links] == [
        ("a" * 32, "b" * 16)
    ]
    assert (wire.status.code, wire.status.message) == (
        wire.status.STATUS_CODE_ERROR,
        "out of memory",
    )
    assert wire.kind == wire.SPAN_KIND_INTERNAL
    assert wire.flags & PARENT_IS_REMOTE == PARENT_IS_REMOTE
    assert (scope.name, scope.version) == ("trainbridge", __version__)


@pytest.mark.parametrize(
    ("outcome", "code"), [(Outcome.UNSET, 0), (Outcome.OK, 1), (Outcome.ERROR, 2)]
)
def test_each_outcome_has_its_status(outcome, code):
    """OTLP's numbers for unset, ok and error."""
    _, _, wire = encoded(Span("x", TRACE, ROOT, 1.0, 2.0, outcome=outcome))

    assert wire.status.code == code
    assert wire.parent_span_id == b""


def test_the_resource_says_who_sends():
    """Service and instance are set explicitly: a random instance would be a new one after each restart."""
    resource, _, _ = encoded(SPAN)
    found = {pair.key: pair.value.string_value for pair in resource.attributes}

    assert found["service.name"] == "team-a"
    assert found["service.instance.id"] == "bridge-0"
    assert found["service.version"] == __version__


def test_resource_attributes_of_the_operator_are_added():
    """They replace what we would say of ourselves, but for the name, which has a setting."""
    given = {
        "deployment.environment.name": "lab",
        "service.instance.id": "pod-7",
        "service.name": "x",
    }
    attributes = resource_of(Endpoint("http://h", resource_attributes=given)).attributes

    assert attributes["deployment.environment.name"] == "lab"
    assert attributes["service.instance.id"] == "pod-7"
    assert attributes["service.name"] == "trainbridge"


def test_the_environment_adds_nothing_behind_the_settings(monkeypatch):
    """What OTEL_RESOURCE_ATTRIBUTES has comes by its setting, which a flag replaces."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=a")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "other")

    attributes = resource_of(Endpoint("http://h")).attributes
    assert "team" not in attributes
    assert attributes["service.name"] == "trainbridge"
    assert attributes["telemetry.sdk.name"] == "opentelemetry"


def test_the_sdk_reads_back_what_it_was_given():
    """The public properties of ReadableSpan, which other exporters use, agree with what went in."""
    span = readable_span(SPAN, RESOURCE)

    assert isinstance(span, ReadableSpan)
    assert span.context.trace_id == int(TRACE, 16)
    assert span.parent.is_remote
    assert span.parent.span_id == int(REMOTE, 16)
    assert dict(span.attributes) == SPAN.attributes
    assert (span.dropped_attributes, span.dropped_events, span.dropped_links) == (0, 0, 0)


@pytest.mark.parametrize("url", ["localhost:4317", "", "grpc://h:4317"])
def test_an_endpoint_without_a_scheme_is_refused(url):
    """The gRPC exporter would silently mean TLS, and never connect."""
    with pytest.raises(SettingError, match="http:// or https://"):
        OtlpExporter(Endpoint(url))


def test_headers_are_not_in_the_representation():
    """An API key must not reach a log by way of a repr."""
    assert "hunter2" not in repr(Endpoint("http://h", headers={"api-key": "hunter2"}))


def test_a_time_before_1970_is_0():
    """OTLP's times have no sign: a clock that is set to 1969 costs the times, and no span."""
    early = replace(SPAN, start=-5.0, end=-1.0, events=(SpanEvent("status", -2.0, {}),))

    encoded = encode_spans([readable_span(early, RESOURCE)])

    (sent,) = encoded.resource_spans[0].scope_spans[0].spans
    assert (sent.start_time_unix_nano, sent.end_time_unix_nano) == (0, 0)
    assert sent.events[0].time_unix_nano == 0
