"""Tests of trace contexts and of the ids of traces."""

import pytest

from bridge.trace_context import TraceContext, span_id_of, trace_id_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("flags", "is_sampled"), [("01", True), ("00", False), ("03", True), ("02", False)]
)
def test_a_header_is_parsed_and_written_as_it_was(flags, is_sampled):
    """What a client sent survives a restart."""
    header = f"00-{TRACE}-{SPAN}-{flags}"

    context = TraceContext.parse(header)

    assert context == TraceContext(TRACE, SPAN, int(flags, 16))
    assert context.is_sampled == is_sampled
    assert context.traceparent == header


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-extra",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}0-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-0g",
    ],
)
def test_a_malformed_header_is_not_a_context(header):
    """Such a client has a trace of its own, as if it had sent none."""
    assert TraceContext.parse(header) is None


def test_ids_depend_on_all_they_are_made_of():
    """Two attempts, or two spans of one, never share an id; the same one has it after a restart too."""
    assert trace_id_of("run", 1) == trace_id_of("run", 1) != trace_id_of("run", 2)
    assert span_id_of("run", 1, "epoch/1") != span_id_of("run", 1, "epoch/2")
    assert (len(trace_id_of("run", 1)), len(span_id_of("run", 1, "end"))) == (32, 16)
