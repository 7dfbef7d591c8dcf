"""Values are counted as the parser of protobuf would build them, whatever bytes come."""

import time

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from bridge.receiver.decode import decode_frame, decode_request
from bridge.receiver.message_limits import MessageLimits
from bridge.wire import metrics_pb2 as wire
from bridge.wire.framing import end_of_requests
from bridge.wire.scan import FRAME, REQUEST, count_values, has_more

LIMIT = 1_000
VARINT, FIXED64, LENGTH, START_GROUP, END_GROUP, FIXED32 = range(6)


def varint(value, longer=0):
    """Return a varint, with bytes that say nothing at its end."""
    encoded = bytearray()
    while value > 0x7F or longer:
        longer -= value <= 0x7F
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(encoded) + bytes([value])


def field(number, content, wire_type=LENGTH, longer=0):
    """Return a field; one with a length may be given that in more bytes than it needs."""
    length = varint(len(content), longer) if wire_type == LENGTH else b""
    return varint(number << 3 | wire_type) + length + content


def group(number, content):
    """Return a group, which parsers skip."""
    return varint(number << 3 | START_GROUP) + content + varint(number << 3 | END_GROUP)


def in_bytes(children):
    """Return a strategy for a row of fields, known and unknown, of every wire type."""
    numbers = st.sampled_from([1, 2, 3, 4, 5, 6, 10, 15, 16, 17, 18, 99])
    one = st.one_of(
        st.builds(field, numbers, children, longer=st.integers(0, 4)),
        st.builds(group, numbers, children),
        st.builds(
            field,
            numbers,
            st.builds(varint, st.integers(0, 2**35), st.integers(0, 3)),
            st.just(VARINT),
        ),
        st.builds(field, numbers, st.binary(min_size=8, max_size=8), st.just(FIXED64)),
        st.builds(field, numbers, st.binary(min_size=4, max_size=4), st.just(FIXED32)),
    )
    return st.lists(one, max_size=4).map(b"".join)


messages = st.recursive(st.binary(max_size=6), in_bytes, max_leaves=30)


def built(message):
    """Return how many objects and numbers a message has been built of."""
    count = 0
    for descriptor, value in message.ListFields():
        if descriptor.message_type and descriptor.message_type.GetOptions().map_entry:
            count += len(value)
        elif descriptor.is_repeated:
            count += len(value)
            count += sum(built(each) for each in value) if descriptor.message_type else 0
        elif descriptor.message_type:
            count += 1 + built(value)
    return count


@given(messages, messages)
def test_nothing_is_built_that_was_not_counted(body, more):
    """Whatever a client makes up: what the parser takes has been counted in full."""
    for raw, kind, shape in (
        (body, wire.MetricsRequest, REQUEST),
        (field(1, body) + more, wire.MetricsRequestBatch, FRAME),
    ):
        try:
            message = kind.FromString(raw)
        except DecodeError:
            continue
        assert count_values(raw, shape, 1 << 20) >= built(message)


@given(messages, messages)
def test_no_bytes_stop_the_receiver(body, more):
    """Each call returns an answer, for a request and for a frame, whole or cut off."""
    limits = MessageLimits(values=3, requests_per_frame=2)
    for raw in (body, field(1, body) + more, (field(1, body) + more)[:-1]):
        assert decode_request(raw, limits)
        decode_frame(raw, limits)


@pytest.mark.parametrize(
    "before",
    [
        b"",
        group(99, field(3, b"\xff" * 20)),
        group(
            99, group(98, field(3, field(4, b"\xff\xff"))) + field(1, b"\xff") + field(3, b"\xff")
        ),
        group(3, field(3, b"\xff" * 20)),
        field(99, varint(5, 9), VARINT),
        field(99, b"\xff" * 20),
    ],
)
def test_fields_before_it_do_not_hide_a_large_one(before):
    """What the parser skips is skipped, and what follows is counted."""
    raw = before + field(3, field(4, b"") * (LIMIT + 1))
    assert len(wire.MetricsRequest.FromString(raw).batch_data.predictions) == LIMIT + 1
    assert has_more(raw, REQUEST, LIMIT)
    assert has_more(before + field(1, raw), FRAME, LIMIT)


def test_a_group_lets_no_more_requests_into_a_frame():
    """A frame with a group is refused, as no client sends one."""
    raw = group(99, field(1, b"\xff" * 20)) + field(1, field(1, b"s")) * 5_000
    assert len(wire.MetricsRequestBatch.FromString(raw).requests) == 5_000
    assert end_of_requests(raw, 4_096) is None
    [error] = decode_frame(raw, MessageLimits())
    assert error.is_unreadable


def test_unknown_numbers_of_a_frame_are_passed_over():
    """An addition to frames with a large or a negative number costs no request."""
    raw = field(16, varint(2**64 - 1), VARINT) + field(1, field(1, b"s")) * 5_000
    assert end_of_requests(raw, 4_096) == 11 + 1 + 4_096 * 5


def test_a_varint_without_an_end_costs_no_time():
    """Eight MiB of it are refused after ten bytes."""
    raw = varint(99 << 3) + b"\x80" * (8 << 20)
    started = time.process_time()
    assert not has_more(raw, REQUEST, LIMIT)
    assert end_of_requests(raw, LIMIT) == len(raw)
    assert time.process_time() - started < 0.2
