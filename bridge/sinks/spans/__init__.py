"""A trace per session attempt: a span when it starts, one per epoch, one when it ends."""

from bridge.sinks.spans.endpoint import Endpoint
from bridge.sinks.spans.opening import open_spans
from bridge.sinks.spans.probe import probe_endpoint
from bridge.sinks.spans.sink import SpanOptions, Spans
from bridge.sinks.spans.windows import WindowLimits

__all__ = ["Endpoint", "SpanOptions", "Spans", "WindowLimits", "open_spans", "probe_endpoint"]
